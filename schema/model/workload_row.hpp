// Checks that every kind with a pod template shares.
#pragma once

#include "schema/model/kind_row.hpp"
#include "schema/model/pod.hpp"

namespace moored {

// The selector exists, is not empty and selects the template's own labels. Paths start at spec.
void check_template_selector(const std::optional<LabelSelector>& selector,
                             const PodTemplateSpec& pod_template, std::vector<Error>& errors);
// The template's pods are restarted for ever, as those of a Deployment must be.
void check_template_restarts(const PodTemplateSpec& pod_template, std::vector<Error>& errors);

}  // namespace moored
