// The Pod Security Standards: baseline and restricted, over every container of a pod.
#pragma once

#include <string>
#include <vector>

#include "schema/base/error.hpp"
#include "schema/model/pod.hpp"
#include "schema/validate/validate.hpp"

namespace moored {

// What the level forbids in a pod: one error for each field, reason Forbidden, place.field below
// path (such as spec.template.spec). Nothing at the level privileged.
// Source: Pod Security Standards of Kubernetes 1.32.
std::vector<Error> check_pod_security(const PodSpec& spec, const ObjectMeta& meta,
                                      AdmissionPolicy::Level level, const std::string& path);

// The name of a level as the configuration writes it.
std::string_view level_name(AdmissionPolicy::Level level);

// The policy with every level below the floor raised to it: a floor never relaxes anything.
AdmissionPolicy tighten(AdmissionPolicy policy, AdmissionPolicy::Level floor);

}  // namespace moored
