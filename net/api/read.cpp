#include "net/api/read.hpp"

#include <algorithm>
#include <utility>

#include "net/api/json_text.hpp"
#include "net/api/lease.hpp"
#include "net/api/scale.hpp"
#include "schema/codec/text.hpp"
#include "schema/host/sha256.hpp"
#include "schema/model/cluster.hpp"

namespace moored::net::api {
namespace {

// Where a paged list goes on.
struct Token {
  std::int64_t resource_version = 0;
  std::string namespace_name;
  std::string name;
};

// The last object shown, not a position: it holds when objects before it come or go.
std::string write_token(const Token& token) {
  return base64_encode(std::to_string(token.resource_version) + "\n" + token.namespace_name + "\n" +
                       token.name);
}

// Tokens come back from clients and may be made up: every part is checked.
Result<Token> read_token(const std::string& text) {
  std::string bytes;
  const auto bad = fail(Code::invalid, "continue key is not valid");
  if (!base64_decode(text, bytes)) return bad;
  const auto first = bytes.find('\n');
  const auto second = first == std::string::npos ? first : bytes.find('\n', first + 1);
  if (second == std::string::npos) return bad;
  const auto version = parse_integer(std::string_view(bytes).substr(0, first));
  Token token;
  token.namespace_name = bytes.substr(first + 1, second - first - 1);
  token.name = bytes.substr(second + 1);
  if (!version || *version < 1 || token.name.empty()) return bad;
  token.resource_version = *version;
  return token;
}

// One page: what to show and how the list's metadata reads.
struct Page {
  std::int64_t resource_version = 0;
  std::string next;           // continue token; empty: this is the end
  std::size_t remaining = 0;  // 0: not counted
  std::vector<std::pair<Object, std::shared_ptr<const Encoded>>> items;
};

std::string page_metadata(const Page& page) {
  std::string out = "{";
  append_member(out, "resourceVersion", std::to_string(page.resource_version));
  if (!page.next.empty()) append_member(out, "continue", page.next);
  if (page.remaining > 0) {
    append_name(out, "remainingItemCount");
    out += std::to_string(page.remaining);
  }
  out.push_back('}');
  return out;
}

// The state a list is read from, by resourceVersion, its match rule and the continue token.
Result<std::shared_ptr<const StateView>> choose_view(const ListOptions& options,
                                                     const std::optional<Token>& token,
                                                     const ApiContext& context) {
  auto view = context.state.view();
  const auto current = view->resource_version();
  if (token) {
    if (token->resource_version == current) return view;
    return context.state.view_at(token->resource_version);
  }
  const auto asked = options.resource_version.value_or(0);
  if (options.match == "Exact" && asked != current) return context.state.view_at(asked);
  return view;
}

// By namespace, then name: the order in which the view lists objects.
bool after(const Object& object, const Token& token) {
  const auto& meta = object.meta();
  return std::pair(meta.namespace_name, meta.name) > std::pair(token.namespace_name, token.name);
}

// When the page is full one more fitting object is looked for: only then is there a next
// page. Cheap checks go first, encoding last.
Page take_page(const std::vector<Object>& objects, const Target& target, const ListOptions& options,
               const std::optional<Token>& token, std::int64_t resource_version,
               EncodingCache& cache) {
  Page page;
  page.resource_version = resource_version;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto& object = objects[i];
    if (token && !after(object, *token)) continue;
    if (!options.selection.matches_labels(object.meta().labels)) continue;
    const bool full =
        options.limit > 0 && page.items.size() == static_cast<std::size_t>(options.limit);
    if (full && !options.selection.needs_encoding() &&
        !options.selection.matches_fields(object, nullptr)) {
      continue;
    }
    auto encoded = cache.get(*target.resource, object);
    if (!options.selection.matches_fields(object, encoded.get())) continue;
    if (full) {
      const auto& last = page.items.back().first.meta();
      page.next = write_token({resource_version, last.namespace_name, last.name});
      if (options.selection.empty()) page.remaining = objects.size() - i;
      break;
    }
    page.items.emplace_back(object, std::move(encoded));
  }
  return page;
}

// Joins what the cache holds; a list of thousands of objects encodes only those that
// changed.
std::string list_body(const Resource& resource, const Page& page) {
  std::string out = "{";
  append_member(out, "kind", std::string(resource.kind) + "List");
  append_member(out, "apiVersion", resource.api_version());
  append_name(out, "metadata");
  out += page_metadata(page);
  append_name(out, "items");
  out.push_back('[');
  for (const auto& [object, encoded] : page.items) {
    if (out.back() != '[') out.push_back(',');
    out += encoded->whole;
  }
  out += "]}";
  return out;
}

std::string metadata_list_body(const std::string& version, const Page& page) {
  std::string out = R"({"kind":"PartialObjectMetadataList")";
  append_member(out, "apiVersion", "meta.k8s.io/" + version);
  append_name(out, "metadata");
  out += page_metadata(page);
  append_name(out, "items");
  out.push_back('[');
  for (const auto& [object, encoded] : page.items) {
    if (out.back() != '[') out.push_back(',');
    out += partial_metadata(version, *encoded);
  }
  out += "]}";
  return out;
}

// Cells are made by the server, so that kubectl needs to know no kind.
std::string table_body(const Resource& resource, const Page& page, const std::string& version,
                       RowObject row_object, Time now) {
  const auto& format = format_of(resource);
  std::string out;
  open_table(out, version, format, page_metadata(page));
  for (const auto& [object, encoded] : page.items) {
    append_row(out, version, format, object, *encoded, row_object, now);
  }
  close_table(out);
  return out;
}

// The body of one object in the form chosen.
std::string object_body(const Resource& resource, const Object& object, const Encoded& encoded,
                        const Choice& choice, RowObject row_object, Time now) {
  if (choice.form == Form::metadata) return partial_metadata(choice.version, encoded);
  if (choice.form != Form::table) return encoded.whole;
  std::string metadata = "{";
  append_member(metadata, "resourceVersion", object.meta().resource_version);
  metadata.push_back('}');
  std::string out;
  const auto& format = format_of(resource);
  open_table(out, choice.version, format, metadata);
  append_row(out, choice.version, format, object, encoded, row_object, now);
  close_table(out);
  return out;
}

// Not cached: it is small and seldom asked for.
Encoded encode_scale(const Resource& resource, const Object& object) {
  const Value scale = scale_of(present(resource, object));
  Encoded encoded;
  encoded.whole = write_json(scale);
  encoded.metadata = write_json(*scale.find("metadata"));
  return encoded;
}

// Node leases are not stored. They are made from what nodes report, for clients that look.
std::optional<Object> find_object(const Target& target, const StateView& view, const Now& now) {
  const auto& kind = *target.resource->stored;
  if (auto found = view.find({&kind, target.namespace_name, target.name})) return found;
  if (&kind == &kind_of<Lease>() && target.namespace_name == kLeaseNamespace) {
    for (const auto& lease : node_leases(view, now.wall)) {
      if (lease.meta().name == target.name) return lease;
    }
  }
  return std::nullopt;
}

Result<std::optional<std::int64_t>> parse_version(const Query& query) {
  const auto text = query.get("resourceVersion");
  if (text.empty()) return std::optional<std::int64_t>{};
  const auto number = parse_integer(text);
  if (!number || *number < 0) {
    return fail(Code::invalid, "resourceVersion is not a version of this server: " + text);
  }
  return number;
}

}  // namespace

Failure no_such_object(const Target& target) {
  Failure failure;
  failure.code = 404;
  failure.reason = "NotFound";
  failure.message = target.resource->qualified() + " " + quoted(target.name) + " not found";
  failure.name = target.name;
  failure.group = target.resource->group;
  failure.resource = target.resource->plural;
  return failure;
}

Result<RowObject> parse_row_object(const Query& query) {
  const auto text = query.get("includeObject");
  if (text.empty() || text == "Metadata") return RowObject::metadata;
  if (text == "Object") return RowObject::whole;
  if (text == "None") return RowObject::none;
  return fail(Code::invalid, "includeObject must be None, Metadata or Object");
}

Result<ListOptions> parse_list_options(const Resource& resource, const Query& query) {
  ListOptions options;
  MOORED_TRY(options.selection.labels, parse_label_selector(query.get("labelSelector")));
  MOORED_TRY(options.selection.fields, parse_field_selector(resource, query.get("fieldSelector")));
  MOORED_TRY(const auto limit, query.integer("limit", 0));
  options.limit = limit.value_or(0);
  options.token = query.get("continue");
  MOORED_TRY(options.resource_version, parse_version(query));
  options.match = query.get("resourceVersionMatch");
  MOORED_TRY(options.row_object, parse_row_object(query));
  return options;
}

std::vector<Object> collect(const Target& target, const StateView& view, const Now& now) {
  const auto& kind = *target.resource->stored;
  auto objects = view.list(kind, target.namespace_name);
  const bool leases = &kind == &kind_of<Lease>() &&
                      (target.namespace_name.empty() || target.namespace_name == kLeaseNamespace);
  if (!leases) return objects;
  for (auto& lease : node_leases(view, now.wall)) {
    if (!view.find(lease.key())) objects.push_back(std::move(lease));
  }
  std::sort(objects.begin(), objects.end(),
            [](const Object& a, const Object& b) { return a.key() < b.key(); });
  return objects;
}

Response read_object(const Target& target, const Query& query, const Choice& choice,
                     const ApiContext& context) {
  const auto version = parse_version(query);
  if (!version) return refuse(failure_of(version.error()));
  const auto row_object = parse_row_object(query);
  if (!row_object) return refuse(failure_of(row_object.error()));
  const auto view = context.state.view();
  if ((*version).value_or(0) > view->resource_version()) {
    return refuse(too_new(**version, view->resource_version()));
  }
  const auto now = context.clock.now();
  const auto object = find_object(target, *view, now);
  if (!object) return refuse(no_such_object(target));
  if (target.subresource == "scale") {
    const auto scale = encode_scale(*target.resource, *object);
    return make_json(object_body(Resource{}, *object, scale, choice, *row_object, now.wall));
  }
  // What tells the time changes without a new version, so it must not come from the cache.
  const auto encoded =
      tells_time(object->kind())
          ? std::make_shared<const Encoded>(encode_for(*target.resource, *object, now.wall))
          : context.cache.get(*target.resource, *object);
  return make_json(object_body(*target.resource, *object, *encoded, choice, *row_object, now.wall));
}

Response read_list(const Target& target, const Query& query, const Choice& choice,
                   const ApiContext& context) {
  const auto options = parse_list_options(*target.resource, query);
  if (!options) return refuse(failure_of(options.error()));
  const auto current = context.state.view()->resource_version();
  if (options->resource_version.value_or(0) > current) {
    return refuse(too_new(*options->resource_version, current));
  }
  if (!options->match.empty() && options->match != "Exact" && options->match != "NotOlderThan") {
    return refuse(bad_request("resourceVersionMatch must be Exact or NotOlderThan"));
  }
  std::optional<Token> token;
  if (!options->token.empty()) {
    auto read = read_token(options->token);
    if (!read) return refuse(failure_of(read.error()));
    token = *std::move(read);
  }
  const auto view = choose_view(*options, token, context);
  if (!view) return refuse(failure_of(view.error()));
  const auto now = context.clock.now();
  const auto& resource = *target.resource;
  const auto objects = collect(target, **view, now);
  EncodingCache uncached(now.wall);  // what tells the time changes without a new version
  auto& cache = tells_time(*resource.stored) ? uncached : context.cache;
  const auto page = take_page(objects, target, *options, token, (*view)->resource_version(), cache);
  if (choice.form == Form::metadata) return make_json(metadata_list_body(choice.version, page));
  if (choice.form != Form::table) return make_json(list_body(resource, page));
  return make_json(table_body(resource, page, choice.version, options->row_object, now.wall));
}

}  // namespace moored::net::api
