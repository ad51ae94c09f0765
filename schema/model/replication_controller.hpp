// The forerunner of the ReplicaSet: its selector is a plain map of labels.
#pragma once

#include "schema/model/apps.hpp"

namespace moored {

// The goal: as many pods as replicas says, made from the template.
struct ReplicationControllerSpec {
  std::optional<std::int32_t> replicas;  // never absent after defaulting
  std::int32_t min_ready_seconds = 0;
  Labels selector;                       // the template's labels when left out
  PodTemplateSpec pod_template;          // JSON name: template
  bool operator==(const ReplicationControllerSpec&) const = default;
};
// One object of the kind. The status has the fields of a ReplicaSet's.
struct ReplicationController {
  ObjectMeta metadata;
  ReplicationControllerSpec spec;
  ReplicaSetStatus status;
  bool operator==(const ReplicationController&) const = default;
};

template <> const TypeSchema& schema_of<ReplicationControllerSpec>();
template <> const TypeSchema& schema_of<ReplicationController>();
template <> const Kind& kind_of<ReplicationController>();

}  // namespace moored
