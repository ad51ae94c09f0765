#include "reconciler/store/events.hpp"

#include <algorithm>

#include "schema/host/sha256.hpp"
#include "schema/model/cluster.hpp"

namespace moored::store {
namespace {

constexpr std::size_t kHexDigits = 16;
constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxMessage = 1024;

Time whole_seconds(Time time) { return std::chrono::floor<std::chrono::seconds>(time); }

std::string namespace_of(const EventNote& note) {
  return note.object.namespace_name.empty() ? "default" : note.object.namespace_name;
}

}  // namespace

ObjectKey event_key(const EventNote& note) {
  std::string identity;
  for (const std::string* part : {&note.object.kind, &note.object.namespace_name,
                                  &note.object.name, &note.object.uid, &note.object.field_path,
                                  &note.reason, &note.message, &note.component}) {
    identity += *part;
    identity += '\0';
  }
  identity += note.warning ? 'W' : 'N';
  const std::string name = note.object.name.substr(0, kMaxName - kHexDigits - 1) + "." +
                           sha256_hex(identity).substr(0, kHexDigits);
  return key_of<Event>(namespace_of(note), name);
}

Object make_event(const EventNote& note, const Object* existing, std::int32_t count, Now now) {
  Event event;
  if (existing != nullptr) event = existing->as<Event>();
  const ObjectKey key = event_key(note);
  event.metadata.name = key.name;
  event.metadata.namespace_name = key.namespace_name;
  event.involved_object = note.object;
  event.reason = note.reason;
  event.message = note.message.substr(0, kMaxMessage);
  event.source.component = note.component;
  event.reporting_component = note.component;
  event.type = note.warning ? "Warning" : "Normal";
  if (!event.first_timestamp) event.first_timestamp = whole_seconds(now.wall);
  event.last_timestamp = whole_seconds(now.wall);
  event.count += count;
  return make_object(std::move(event));
}

Plan plan_event_expiry(const StateView& view, Now now) {
  Plan plan;
  for (const Object& object : view.list(kind_of<Event>())) {
    const Event& event = object.as<Event>();
    const auto last = event.last_timestamp ? event.last_timestamp : event.event_time;
    const Time seen = last.value_or(event.metadata.creation_timestamp.value_or(Time{}));
    if (now.wall - seen < kEventLife) continue;
    Write write;
    write.type = Write::Type::remove;
    write.key = object.key();
    write.reason = "an hour old";
    plan.writes.push_back(std::move(write));
  }
  return plan;
}

}  // namespace moored::store
