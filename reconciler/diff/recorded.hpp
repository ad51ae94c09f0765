// Recorded objects by key, for whoever asks for many of them.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/ports/state_view.hpp"

namespace moored {

struct KeyHash {
  std::size_t operator()(const ObjectKey& key) const {
    const std::hash<std::string_view> hash;
    return hash(key.name) * 31 + hash(key.namespace_name) * 17 + hash(key.kind->kind);
  }
};

// Answers as StateView::find. A few of a kind and namespace are searched for; whoever wants more
// gets them from a list that is taken once: one walk over neighbours instead of a search for each.
// Cheapest in the order of keys.
// One thread; the view outlives it.
class RecordedObjects {
 public:
  explicit RecordedObjects(const StateView& view) : view_(view) {}

  // The recorded object of a key, or null. Valid as long as this lives.
  const Object* find(const Kind& kind, const std::string& space, const std::string& name);
  // That with the key of another object.
  const Object* find(const Object& like) {
    return find(like.kind(), like.meta().namespace_name, like.meta().name);
  }

 private:
  struct Group {
    std::size_t searches = 0;
    std::deque<Object> found;
    std::vector<Object> objects;  // listed, once there were too many searches; by name
    std::size_t next = 0;         // behind the one that was found last
  };
  static const Object* find_listed(Group& group, const std::string& name);

  const StateView& view_;
  std::map<std::pair<const Kind*, std::string>, Group> groups_;
  Group* last_ = nullptr;
  const Kind* last_kind_ = nullptr;
  std::string last_namespace_;
};

}  // namespace moored
