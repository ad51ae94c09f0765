// Every kind that moored knows: one include of its header, one line in the list.
#include <algorithm>
#include <array>

#include "schema/model/apps.hpp"
#include "schema/model/cluster.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/object.hpp"
#include "schema/model/pod.hpp"
#include "schema/model/replication_controller.hpp"

namespace moored {

std::span<const Kind* const> all_kinds() {
  static const std::array kRows{
      &kind_of<Namespace>(),
      &kind_of<ServiceAccount>(),
      &kind_of<ConfigMap>(),
      &kind_of<Secret>(),
      &kind_of<Pod>(),
      &kind_of<ReplicationController>(),
      &kind_of<Service>(),
      &kind_of<Endpoints>(),
      &kind_of<Node>(),
      &kind_of<Event>(),
      &kind_of<ReplicaSet>(),
      &kind_of<Deployment>(),
      &kind_of<Lease>(),
      &kind_of<EndpointSlice>(),
      &kind_of<GitRepository>(),
      &kind_of<Kustomization>(),
  };
  return kRows;
}

const Kind* find_kind(std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const auto group = slash == std::string_view::npos ? std::string_view() :
                                                       api_version.substr(0, slash);
  const auto version = slash == std::string_view::npos ? api_version :
                                                         api_version.substr(slash + 1);
  const auto rows = all_kinds();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Kind* row) {
    return row->kind == kind && row->group == group && row->version == version;
  });
  return found == rows.end() ? nullptr : *found;
}

const Kind* find_resource(std::string_view group, std::string_view version,
                          std::string_view plural) {
  const auto rows = all_kinds();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Kind* row) {
    return row->plural == plural && row->group == group && row->version == version;
  });
  return found == rows.end() ? nullptr : *found;
}

}  // namespace moored
