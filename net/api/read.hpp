// GET of one object and of lists, in every form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/api/accept.hpp"
#include "net/api/context.hpp"
#include "net/api/failure.hpp"
#include "net/api/selector.hpp"
#include "net/api/table.hpp"
#include "net/api/url.hpp"

namespace moored::net::api {

// What a path names.
struct Target {
  const Resource* resource = nullptr;
  std::string namespace_name;  // empty: all namespaces, or a cluster-scoped resource
  std::string name;            // empty: the list
  std::string subresource;
};

// What the query of a list or watch says.
struct ListOptions {
  Selection selection;
  std::int64_t limit = 0;                        // 0: everything
  std::string token;                             // continue
  std::optional<std::int64_t> resource_version;  // absent and 0 read alike on lists
  std::string match;                             // resourceVersionMatch
  RowObject row_object = RowObject::metadata;
};

// Reads the parameters that lists and watches share. Errors: invalid.
Result<ListOptions> parse_list_options(const Resource& resource, const Query& query);
// Reads includeObject. Errors: invalid.
Result<RowObject> parse_row_object(const Query& query);

// One object, or its status or scale subresource.
Response read_object(const Target& target, const Query& query, const Choice& choice,
                     const ApiContext& context);
// A list.
Response read_list(const Target& target, const Query& query, const Choice& choice,
                   const ApiContext& context);

// The objects of a list in key order, Leases computed from the nodes included.
std::vector<Object> collect(const Target& target, const StateView& view, const Now& now);
// The 404 of an object.
Failure no_such_object(const Target& target);

}  // namespace moored::net::api
