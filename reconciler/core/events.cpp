// Event objects: a repeated note raises a count, so that noise costs one row.
#include <algorithm>

#include "reconciler/core/identity.hpp"
#include "reconciler/core/reduce.hpp"
#include "schema/model/cluster.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;  // as Kubernetes cuts event messages
constexpr std::size_t kMaxObjectName = 200;     // of the name part that comes from the object

// Cuts a message without splitting a character of several bytes.
void cut_message(std::string& text) {
  if (text.size() <= kMaxMessageBytes) return;
  std::size_t end = kMaxMessageBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
}

// The key under which equal notes meet.
ObjectKey event_key(const EventNote& note) {
  std::uint64_t hash = hash_text(note.object.uid);
  for (const std::string* part : {&note.object.kind, &note.reason, &note.message,
                                  &note.component}) {
    hash = hash_text(*part, hash_text("|", hash));
  }
  const std::string space = note.object.namespace_name.empty() ? "default"
                                                               : note.object.namespace_name;
  return key_of<Event>(space, note.object.name.substr(0, kMaxObjectName) + '.' +
                                  encode_hash(hash, 13));
}

Event make_event(const EventNote& note, const ObjectKey& key, const PlanContext& context) {
  Event event;
  event.metadata.name = key.name;
  event.metadata.namespace_name = key.namespace_name;
  event.metadata.uid = derive_uid(context, key, "event");
  event.metadata.creation_timestamp = stamp(context.now);
  event.involved_object = note.object;
  event.reason = note.reason;
  event.message = note.message;
  event.type = note.warning ? "Warning" : "Normal";
  event.source.component = note.component;
  event.source.host = context.node_name;
  event.reporting_component = note.component;
  event.reporting_instance = context.node_name;
  event.first_timestamp = stamp(context.now);
  return event;
}

}  // namespace

std::vector<Write> make_event_writes(const std::vector<EventNote>& notes,
                                     const PlanContext& context) {
  Plan plan;
  for (EventNote note : notes) {
    cut_message(note.message);
    const ObjectKey key = event_key(note);
    const auto earlier = std::find_if(plan.writes.begin(), plan.writes.end(),
                                      [&](const Write& write) { return write.key == key; });
    const auto recorded = earlier == plan.writes.end() ? context.view.find(key) : earlier->object;
    Event event = recorded ? recorded->as<Event>() : make_event(note, key, context);
    ++event.count;
    event.last_timestamp = stamp(context.now);
    Object object = make_object(std::move(event));
    if (earlier != plan.writes.end()) {
      earlier->object = std::move(object);
    } else {
      plan.put(std::move(object), note.reason);
    }
  }
  return std::move(plan.writes);
}

Plan plan_event_removal(const StateView& view, std::size_t kept) {
  Plan plan;
  auto events = view.list(kind_of<Event>());
  if (events.size() <= kept) return plan;
  const auto end = events.end() - static_cast<std::ptrdiff_t>(kept);
  std::nth_element(events.begin(), end, events.end(), [](const Object& a, const Object& b) {
    const Time first = a.as<Event>().last_timestamp.value_or(Time{});
    const Time second = b.as<Event>().last_timestamp.value_or(Time{});
    return first != second ? first < second : a.key() < b.key();
  });
  std::for_each(events.begin(), end, [&](const Object& event) {
    plan.remove(event.key(), "more than are kept");
  });
  return plan;
}

}  // namespace moored
