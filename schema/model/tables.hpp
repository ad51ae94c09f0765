// What `kubectl get` prints for each kind: columns, and the cells of one object at a time.
//
// Cells are pure functions of the object and the time. The columns are those of a recent server.
#pragma once

#include <optional>
#include <string>

#include "schema/model/object.hpp"

namespace moored {

extern const TableFormat kNamespaceTable;
extern const TableFormat kPodTable;
extern const TableFormat kReplicaSetTable;
extern const TableFormat kDeploymentTable;
extern const TableFormat kConfigMapTable;
extern const TableFormat kSecretTable;
extern const TableFormat kServiceTable;
extern const TableFormat kEndpointsTable;
extern const TableFormat kEndpointSliceTable;
extern const TableFormat kServiceAccountTable;
extern const TableFormat kNodeTable;
extern const TableFormat kEventTable;
extern const TableFormat kLeaseTable;
extern const TableFormat kGitRepositoryTable;
extern const TableFormat kKustomizationTable;

// A duration as kubectl shows ages: 5s, 3m4s, 2h, 3d5h, 2y10d.
std::string human_duration(Duration duration);
// The age of a point in time, or <unknown>.
std::string age_text(const std::optional<Time>& time, Time now);
// The Status column of a pod, by the same rules as kubectl's own server.
std::string pod_status_text(const Object& pod);

}  // namespace moored
