// From what Git says and what is recorded to the object that should be recorded. Pure.
#pragma once

#include <functional>
#include <string>

#include "schema/base/result.hpp"
#include "schema/model/object.hpp"

namespace moored {

// The annotation with the number of a Deployment's rollout, and those that moored itself writes.
inline constexpr std::string_view kRevisionAnnotation = "deployment.kubernetes.io/revision";
inline constexpr std::string_view kOwnAnnotationPrefix = "moored.dev/";
// On a Kustomization: the revision whose deletions an operator has confirmed.
inline constexpr std::string_view kConfirmedAnnotation = "moored.dev/confirmed-revision";

// Whether moored writes the annotation, so that its absence in Git means nothing.
bool is_own_annotation(std::string_view name);

// A copy whose metadata was changed.
Object with_meta(const Object& object, const std::function<void(ObjectMeta&)>& change);
// The declared object with what only moored writes taken over from the recorded one: identity,
// times, owners, finalizers, own annotations, the status and an allocated cluster address.
Result<Object> make_merged(const Object& declared, const Object& recorded);

}  // namespace moored
