#include "net/api/watch.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "net/api/json_text.hpp"

namespace moored::net::api {
namespace {

// What a watch was asked for, checked.
struct WatchOptions {
  ListOptions list;
  bool bookmarks = false;
  bool initial_events = false;  // sendInitialEvents=true
  Choice choice;
};

std::string_view event_name(Change::Type type) {
  switch (type) {
    case Change::Type::added:
      return "ADDED";
    case Change::Type::modified:
      return "MODIFIED";
    case Change::Type::deleted:
      return "DELETED";
  }
  return "MODIFIED";
}

// The change as a selector sees it. Nothing: it concerns neither before nor after.
std::optional<Change::Type> seen_as(Change::Type type, bool before, bool after) {
  if (type == Change::Type::deleted) {
    return before || after ? std::optional(Change::Type::deleted) : std::nullopt;
  }
  if (after) return before ? Change::Type::modified : Change::Type::added;
  if (before) return Change::Type::deleted;
  return std::nullopt;
}

// One watch. Holds no queue: it remembers how far it came and reads on from the store's history
// when the connection has room.
class WatchStream final : public Stream {
 public:
  WatchStream(Target target, WatchOptions options, const ApiContext& context, StreamPlace place,
              MonoTime deadline, const Now& now)
      : target_(std::move(target)),
        options_(std::move(options)),
        context_(context),
        place_(std::move(place)),
        deadline_(deadline),
        bookmark_due_(now.mono + kBookmarkEvery) {}

  // Sends every object of the view before any change.
  void begin_with(std::vector<Object> objects, std::int64_t resource_version) {
    initial_ = std::move(objects);
    position_ = resource_version;
    announce_end_ = options_.initial_events;
  }
  void begin_after(std::int64_t resource_version) { position_ = resource_version; }

  bool pull(const Now& now, std::string& out) override;
  MonoTime next_due() const override {
    return options_.bookmarks ? std::min(bookmark_due_, closing_time()) : deadline_;
  }

 private:
  // A little before the end, so that the last bookmark still goes out.
  MonoTime closing_time() const {
    return closing_sent_ ? deadline_ : deadline_ - std::chrono::seconds(2);
  }
  void send_initial(const Now& now, std::string& out);
  bool send_changes(const Now& now, std::string& out);
  void send_change(const Change& change, const Now& now, std::string& out);
  void send_bookmarks(const Now& now, std::string& out);
  bool matches(const Object& object, const Encoded& encoded) const;
  void append_event(std::string_view type, const Object& object, const Encoded& encoded,
                    const Now& now, std::string& out);
  void append_bookmark(bool end_of_initial, std::string& out);

  Target target_;
  WatchOptions options_;
  ApiContext context_;
  StreamPlace place_;
  MonoTime deadline_;
  MonoTime bookmark_due_;
  std::vector<Object> initial_;
  std::size_t next_initial_ = 0;
  std::int64_t position_ = 0;  // everything up to here was delivered
  bool announce_end_ = false;  // the bookmark that ends the initial events is still to come
  bool closing_sent_ = false;
  bool columns_sent_ = false;
};

bool WatchStream::matches(const Object& object, const Encoded& encoded) const {
  const auto& selection = options_.list.selection;
  return selection.matches_labels(object.meta().labels) &&
         selection.matches_fields(object, &encoded);
}

// Put together as text: the object was encoded once for all watches, nothing is parsed
// again.
void WatchStream::append_event(std::string_view type, const Object& object, const Encoded& encoded,
                               const Now& now, std::string& out) {
  out += R"({"type":")";
  out += type;
  out += R"(","object":)";
  if (options_.choice.form == Form::metadata) {
    out += partial_metadata(options_.choice.version, encoded);
  } else if (options_.choice.form != Form::table) {
    out += encoded.whole;
  } else {
    const auto& format = format_of(*target_.resource);
    std::string metadata = "{";
    append_member(metadata, "resourceVersion", object.meta().resource_version);
    metadata.push_back('}');
    open_table(out, options_.choice.version, format, metadata, !columns_sent_);
    append_row(out, options_.choice.version, format, object, encoded, options_.list.row_object,
               now.wall);
    close_table(out);
    columns_sent_ = true;
  }
  out += "}\n";
}

// Carries nothing but a version to go on from, so that a client need not list anew.
void WatchStream::append_bookmark(bool end_of_initial, std::string& out) {
  const bool as_table = options_.choice.form == Form::table;
  const bool partial = as_table || options_.choice.form == Form::metadata;
  const auto& version = options_.choice.version;
  std::string object = "{";
  append_member(object, "kind",
                partial ? "PartialObjectMetadata" : std::string(target_.resource->kind));
  append_member(object, "apiVersion",
                partial ? "meta.k8s.io/" + version : target_.resource->api_version());
  append_name(object, "metadata");
  std::string metadata = "{";
  append_member(metadata, "resourceVersion", std::to_string(position_));
  metadata += R"(,"creationTimestamp":null)";
  if (end_of_initial) metadata += R"(,"annotations":{"k8s.io/initial-events-end":"true"})";
  metadata.push_back('}');
  object += metadata + "}";
  out += R"({"type":"BOOKMARK","object":)";
  if (as_table) {
    const auto& format = format_of(*target_.resource);
    std::string list_metadata = "{";
    append_member(list_metadata, "resourceVersion", std::to_string(position_));
    list_metadata.push_back('}');
    open_table(out, version, format, list_metadata, !columns_sent_);
    append_empty_row(out, format, object);
    close_table(out);
    columns_sent_ = true;
  } else {
    out += object;
  }
  out += "}\n";
}

// Stops when a pull's worth is written; the objects are held until the last one is out.
void WatchStream::send_initial(const Now& now, std::string& out) {
  while (next_initial_ < initial_.size() && out.size() < pull_bytes()) {
    const auto& object = initial_[next_initial_++];
    if (!options_.list.selection.matches_labels(object.meta().labels)) continue;
    const auto encoded = context_.cache.get(*target_.resource, object);
    if (matches(object, *encoded)) append_event("ADDED", object, *encoded, now, out);
  }
  if (next_initial_ < initial_.size()) return;
  initial_ = {};
  next_initial_ = 0;
  if (announce_end_) append_bookmark(true, out);
  announce_end_ = false;
}

// The position moves for changes that are not shown too: they need not be read again.
void WatchStream::send_change(const Change& change, const Now& now, std::string& out) {
  position_ = change.resource_version;
  const auto& object = change.object;
  if (!target_.namespace_name.empty() && object.meta().namespace_name != target_.namespace_name) {
    return;
  }
  const auto encoded = context_.cache.get(*target_.resource, object);
  const bool after = matches(object, *encoded);
  bool before = change.type == Change::Type::deleted && after;
  if (change.previous && !options_.list.selection.empty()) {
    const auto previous = context_.cache.get(*target_.resource, *change.previous);
    before = matches(*change.previous, *previous);
  } else if (change.previous) {
    before = true;
  }
  const auto type = seen_as(change.type, before, after);
  if (type) append_event(event_name(*type), object, *encoded, now, out);
}

// False: the stream cannot go on.
bool WatchStream::send_changes(const Now& now, std::string& out) {
  while (out.size() < pull_bytes()) {
    const auto reading = context_.feed.read(*target_.resource->stored, position_, kWatchBatch);
    if (!reading) {
      out += R"({"type":"ERROR","object":)" + status_json(failure_of(reading.error())) + "}\n";
      return false;
    }
    for (const auto& change : reading->changes) {
      send_change(change, now, out);
      if (out.size() >= pull_bytes()) return true;  // the rest is read again from position_
    }
    if (reading->changes.size() < kWatchBatch) {
      position_ = std::max(position_, reading->known);
      return true;
    }
  }
  return true;
}

// At intervals, and once shortly before the end, from where the next watch will start.
void WatchStream::send_bookmarks(const Now& now, std::string& out) {
  if (!options_.bookmarks) return;
  const bool closing = !closing_sent_ && now.mono >= closing_time();
  if (!closing && now.mono < bookmark_due_) return;
  append_bookmark(false, out);
  bookmark_due_ = now.mono + kBookmarkEvery;
  closing_sent_ = closing_sent_ || closing;
}

// The order matters: a change may not come before the object it changes.
bool WatchStream::pull(const Now& now, std::string& out) {
  if (!initial_.empty() || announce_end_) send_initial(now, out);
  if (!initial_.empty() || announce_end_) return true;
  if (!send_changes(now, out)) return false;
  if (out.size() < pull_bytes()) send_bookmarks(now, out);
  return now.mono < deadline_;
}

// The end of the initial events is told by a bookmark, so the client must take bookmarks.
Result<WatchOptions> parse_watch(const Target& target, const Query& query, const Choice& choice) {
  WatchOptions options;
  MOORED_TRY(options.list, parse_list_options(*target.resource, query));
  options.bookmarks = query.truth("allowWatchBookmarks");
  options.initial_events = query.truth("sendInitialEvents");
  options.choice = choice;
  if (options.initial_events && options.list.match != "NotOlderThan") {
    return fail(Code::invalid, "sendInitialEvents needs resourceVersionMatch=NotOlderThan");
  }
  if (options.initial_events && !options.bookmarks) {
    return fail(Code::invalid, "sendInitialEvents needs allowWatchBookmarks=true");
  }
  return options;
}

// A watch always ends, so that a client that went away silently does not hold a place
// forever.
Result<MonoTime> parse_deadline(const Target& target, const Query& query, const Now& now) {
  MOORED_TRY(const auto asked, query.integer("timeoutSeconds", 0));
  if (asked && *asked > 0) {
    return now.mono + std::chrono::seconds(std::min(*asked, kWatchAtMostSeconds));
  }
  // Spread by what is watched and by the moment, so that not all end at once.
  const auto spread = std::hash<std::string>{}(target.resource->qualified() +
                                               std::to_string(now.mono.time_since_epoch().count()));
  const auto extra = static_cast<std::int64_t>(
      spread % static_cast<std::size_t>(std::chrono::seconds(kWatchAtLeast).count()));
  return now.mono + kWatchAtLeast + std::chrono::seconds(extra);
}

// 429 with Retry-After: client-go waits and tries again by itself.
Failure too_many_streams(int limit) {
  Failure failure;
  failure.code = 429;
  failure.reason = "TooManyRequests";
  failure.message = "too many watches and followed logs are open (limit " +
                    std::to_string(limit) + "), please try again later";
  failure.retry_after = 1;
  return failure;
}

}  // namespace

Response start_watch(const Target& target, const Query& query, const Choice& choice,
                     const ApiContext& context) {
  const auto now = context.clock.now();
  auto options = parse_watch(target, query, choice);
  if (!options) return refuse(failure_of(options.error()));
  const auto deadline = parse_deadline(target, query, now);
  if (!deadline) return refuse(failure_of(deadline.error()));
  const auto view = context.state.view();
  const auto asked = options->list.resource_version.value_or(0);
  if (asked > view->resource_version()) return refuse(too_new(asked, view->resource_version()));
  const bool from_state = asked == 0 || options->initial_events;
  if (!from_state) {
    // Only asked whether the point is still kept; the stream reads the changes itself.
    const auto kept = context.feed.read(*target.resource->stored, asked, 1);
    if (!kept) return refuse(failure_of(kept.error()));
  }
  StreamPlace place(context.streams);
  if (!place) return refuse(too_many_streams(context.streams.limit()));
  auto stream = std::make_unique<WatchStream>(target, *std::move(options), context,
                                              std::move(place), *deadline, now);
  if (from_state) {
    stream->begin_with(collect(target, *view, now), view->resource_version());
  } else {
    stream->begin_after(asked);
  }
  Response response;
  response.content_type = "application/json";
  response.stream = std::move(stream);
  return response;
}

}  // namespace moored::net::api
