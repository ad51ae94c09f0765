#include "reconciler/diff/recorded.hpp"

#include <algorithm>

namespace moored {
namespace {

constexpr std::size_t kSearches = 16;

}  // namespace

// Whoever asks in the order of names finds the next one where the last one was.
const Object* RecordedObjects::find_listed(Group& group, const std::string& name) {
  const auto& objects = group.objects;
  if (group.next >= objects.size() || objects[group.next].meta().name != name) {
    const auto found = std::lower_bound(
        objects.begin(), objects.end(), name,
        [](const Object& object, const std::string& text) { return object.meta().name < text; });
    if (found == objects.end() || found->meta().name != name) return nullptr;
    group.next = static_cast<std::size_t>(found - objects.begin());
  }
  return &objects[group.next++];
}

// Neighbours of a commit are mostly of one kind and namespace.
const Object* RecordedObjects::find(const Kind& kind, const std::string& space,
                                    const std::string& name) {
  if (last_ == nullptr || last_kind_ != &kind || last_namespace_ != space) {
    last_ = &groups_[{&kind, space}];
    last_kind_ = &kind;
    last_namespace_ = space;
  }
  if (last_->searches < kSearches) {
    ++last_->searches;
    auto object = view_.find({&kind, space, name});
    if (!object) return nullptr;
    last_->found.push_back(*std::move(object));
    return &last_->found.back();
  }
  if (last_->searches++ == kSearches) {
    last_->objects = view_.list(kind, space);
    // No namespace lists all of them: only those without one are meant.
    if (space.empty()) {
      std::erase_if(last_->objects,
                    [](const Object& object) { return !object.meta().namespace_name.empty(); });
    }
  }
  return find_listed(*last_, name);
}

}  // namespace moored
