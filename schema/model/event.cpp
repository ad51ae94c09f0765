#include "schema/model/cluster.hpp"
#include "schema/model/kind_row.hpp"
#include "schema/model/tables.hpp"

namespace moored {
namespace {

constexpr std::string_view kBy = "reconciler/core";

// Events are made inside; the check holds for what the store is given.
void check_event(const void* object, std::vector<Error>& errors) {
  check_metadata(static_cast<const Event*>(object)->metadata, &check_dns_subdomain, errors);
}

}  // namespace

template <>
const TypeSchema& schema_of<EventSource>() {
  using T = EventSource;
  static constexpr Field kFields[] = {
      field<&T::component>("component", {.carried_by = kBy, .doc = "Part that saw it."}),
      field<&T::host>("host", {.carried_by = kBy, .doc = "Node on which it was seen."}),
  };
  static constexpr TypeSchema kSchema{"EventSource", kFields};
  return kSchema;
}

// Source: core/v1 Event. eventTime has six decimals, the other times whole seconds.
template <>
const TypeSchema& schema_of<Event>() {
  using T = Event;
  static constexpr Field kFields[] = {
      metadata_row<&T::metadata>(),
      field<&T::involved_object>("involvedObject", {.flags = kKeepZero, .carried_by = kBy,
                                                    .doc = "What it is about."}),
      field<&T::reason>("reason", {.carried_by = kBy, .doc = "One word."}),
      field<&T::message>("message", {.carried_by = kBy, .doc = "A sentence."}),
      field<&T::source>("source", {.flags = kKeepZero, .carried_by = kBy, .doc = "Who saw it."}),
      field<&T::first_timestamp>("firstTimestamp", {.carried_by = kBy,
                                                    .doc = "When it was first seen."}),
      field<&T::last_timestamp>("lastTimestamp", {.carried_by = kBy,
                                                  .doc = "When it was last seen."}),
      field<&T::count>("count", {.carried_by = kBy, .doc = "How often it was seen."}),
      field<&T::type>("type", {.carried_by = kBy, .doc = "Normal or Warning."}),
      field<&T::event_time>("eventTime", {.flags = kMicroTime, .carried_by = kBy,
                                          .doc = "When it was first seen, exactly."}),
      field<&T::action>("action", {.carried_by = kBy, .doc = "What was being done."}),
      field<&T::reporting_component>("reportingComponent",
                                     {.flags = kKeepZero, .carried_by = kBy,
                                      .doc = "Part that saw it."}),
      field<&T::reporting_instance>("reportingInstance",
                                    {.flags = kKeepZero, .carried_by = kBy,
                                     .doc = "Node on which it was seen."}),
  };
  static constexpr TypeSchema kSchema{"Event", kFields, &check_event};
  return kSchema;
}

template <>
const Kind& kind_of<Event>() {
  static constexpr std::string_view kShort[] = {"ev"};
  static constexpr std::string_view kPaths[] = {
      "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
      "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
      "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"};
  static constexpr Kind kRow = row_of<Event>(
      {.group = "", .version = "v1", .kind = "Event", .plural = "events", .singular = "event",
       .short_names = kShort, .origin = Origin::internal, .table = &kEventTable,
       .selectable = kPaths});
  return kRow;
}

}  // namespace moored
