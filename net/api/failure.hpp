// Errors as Kubernetes words them: a Status object with the same code.
#pragma once

#include <string>

#include "net/api/http.hpp"
#include "schema/base/error.hpp"

namespace moored::net::api {

// What a Status says. The texts may be foreign: they are escaped when written.
struct Failure {
  int code = 500;
  std::string reason;
  std::string message;
  std::string name;      // details.name
  std::string group;     // details.group
  std::string resource;  // details.kind: the plural
  std::string cause;     // details.causes[0].reason
  int retry_after = 0;   // seconds; also sent as Retry-After
};

// The Status object as JSON.
std::string status_json(const Failure& failure);
// The answer that carries it.
Response refuse(const Failure& failure);

// 400 with the reason BadRequest: what is wrong, in one sentence.
Failure bad_request(std::string message);
// 404: the resource or path does not exist.
Failure no_such_resource();
// 410: the version asked for is older than the kept history.
Failure expired(std::string message);
// 504: the version asked for is newer than the store.
Failure too_new(std::int64_t asked, std::int64_t current);
// An error of the lower layers; invalid becomes 400, the reason Expired becomes 410.
Failure failure_of(const Error& error);

}  // namespace moored::net::api
