#include "reconciler/diff/recorded.hpp"

namespace moored {
namespace {

constexpr std::size_t kSearches = 16;

}  // namespace

void RecordedObjects::list(const Kind& kind, const std::string& space, Group& group) const {
  group.objects = view_.list(kind, space);
  group.by_name.reserve(group.objects.size());
  for (const Object& object : group.objects) {
    // No namespace lists all of them: only those without one are meant.
    if (object.meta().namespace_name != space) continue;
    group.by_name.emplace(object.meta().name, &object);
  }
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
  if (last_->searches++ == kSearches) list(kind, space, *last_);
  const auto found = last_->by_name.find(name);
  return found == last_->by_name.end() ? nullptr : found->second;
}

}  // namespace moored
