// The routes as cpprestsdk's http_listener carries them, over a transport that is our own.
//
// cpprestsdk brings http_listener, http_request and http_response; its own sockets are not used.
// The seam is http_server_api::register_server_api, with which the library lets its server part be
// replaced. Nothing of the library is visible here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/api/http.hpp"
#include "schema/base/result.hpp"

namespace moored::net::api {

// One open http_listener. Thread safe: any number of requests may be under way.
class RestRoutes {
 public:
  using Answer = std::function<Response(const Request&)>;
  using Done = std::function<void(Response)>;

  // Opens a listener for http://HOST:PORT/ that answers with the function. The address only names
  // the listener: nothing is bound. Errors: conflict (that name is open already), internal.
  static Result<std::unique_ptr<RestRoutes>> open(const std::string& address, Answer answer);
  ~RestRoutes();
  RestRoutes(const RestRoutes&) = delete;
  RestRoutes& operator=(const RestRoutes&) = delete;

  // Hands a request to the listener; done is called once, with what it replied.
  void carry(Request request, Done done);
  // Requests that came back through http_response so far, over all listeners.
  static std::int64_t replies();

 private:
  struct State;
  explicit RestRoutes(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace moored::net::api
