#include "schema/model/workload_row.hpp"

namespace moored {

void check_template_selector(const std::optional<LabelSelector>& selector,
                             const PodTemplateSpec& pod_template, std::vector<Error>& errors) {
  if (!selector) return;  // the row says that it is required
  if (selector->match_labels.empty() && selector->match_expressions.empty()) {
    add_at(errors, "spec.selector",
           invalid_value("the selector is empty and would select every pod",
                         "name the labels of the template under matchLabels"));
    return;
  }
  if (matches(*selector, pod_template.metadata.labels)) return;
  add_at(errors, "spec.selector",
         invalid_value("the selector does not match the labels of the template",
                       "write the selector's labels into template.metadata.labels"));
}

void check_template_restarts(const PodTemplateSpec& pod_template, std::vector<Error>& errors) {
  const auto& policy = pod_template.spec.restart_policy;
  if (policy.empty() || policy == "Always") return;
  add_at(errors, "spec.template.spec.restartPolicy",
         invalid_value(quoted(policy) + " is not allowed here",
                       "use Always, or a Job for pods that end"));
}

}  // namespace moored
