// Content negotiation: which form of an answer the client asked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moored::net::api {

// The forms in which a route can answer.
enum class Form {
  plain,      // the object or list itself
  table,      // what `kubectl get` prints
  metadata,   // PartialObjectMetadata
  discovery,  // APIGroupDiscoveryList
};

// What a route has to offer beside plain JSON.
enum class Offer { objects, discovery, only_plain };

struct Choice {
  Form form = Form::plain;
  std::string version;  // of the Table, the metadata or the discovery document
};

// The first entry of an Accept header that can be served; quality values are ignored.
// An empty header accepts anything. Nothing: no entry fits (406).
std::optional<Choice> choose(std::string_view accept, Offer offer);

}  // namespace moored::net::api
