#include "reconciler/diff/recorded.hpp"

namespace moored {

// Neighbours of a commit are mostly of one kind and namespace.
const Object* RecordedObjects::find(const Kind& kind, const std::string& space,
                                    const std::string& name) {
  if (last_ == nullptr || last_kind_ != &kind || last_namespace_ != space) {
    const auto [place, fresh] = groups_.try_emplace({&kind, space});
    Group& group = place->second;
    if (fresh) {
      group.objects = view_.list(kind, space);
      group.by_name.reserve(group.objects.size());
      for (const Object& object : group.objects) {
        // No namespace lists all of them: only those without one are meant.
        if (object.meta().namespace_name != space) continue;
        group.by_name.emplace(object.meta().name, &object);
      }
    }
    last_ = &group;
    last_kind_ = &kind;
    last_namespace_ = space;
  }
  const auto found = last_->by_name.find(name);
  return found == last_->by_name.end() ? nullptr : found->second;
}

}  // namespace moored
