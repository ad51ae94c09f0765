#include "net/api/rest_routes.hpp"

#include <cpprest/details/http_server.h>
#include <cpprest/details/http_server_api.h>
#include <cpprest/http_listener.h>
#include <cpprest/rawptrstream.h>
#include <pplx/threadpool.h>

#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "net/api/failure.hpp"
#include "schema/base/guarded.hpp"

namespace moored::net::api {
namespace {

namespace http = web::http;
using ListenerImpl = http::experimental::listener::details::http_listener_impl;

// The library's own threads only open and close listeners and finish its tasks.
constexpr std::size_t kPoolThreads = 2;

std::atomic<std::int64_t> reply_count{0};

// What travels with a request through the library and comes back with its response.
class Exchange final : public http::details::_http_server_context {
 public:
  Exchange(RestRoutes::Done done, std::string asker)
      : user(std::move(asker)), done_(std::move(done)) {}

  std::string user;  // the library has no place for it

  // The body is sent from where it lies; the stream goes on after the head.
  Body body;
  std::unique_ptr<Stream> stream;

  void finish(Response response) {
    if (auto done = std::exchange(done_, nullptr)) done(std::move(response));
  }

 private:
  RestRoutes::Done done_;
};

// Turns what the listener replied back into our words.
Response take_response(const http::http_response& reply, Exchange& exchange) {
  Response response;
  response.status = reply.status_code();
  for (const auto& [name, value] : reply.headers()) {
    if (same_name(name, "content-type")) {
      response.content_type = value;
    } else if (!same_name(name, "content-length")) {
      response.headers.push_back({name, value});
    }
  }
  response.body = std::move(exchange.body);
  response.stream = std::move(exchange.stream);
  return response;
}

// The server part of the library, replaced: it knows the open listeners and owns no socket.
class Seam final : public http::experimental::details::http_server {
 public:
  pplx::task<void> start() override { return pplx::task_from_result(); }
  pplx::task<void> stop() override { return pplx::task_from_result(); }

  pplx::task<void> register_listener(ListenerImpl* listener) override {
    listeners().with([&](auto& map) { map[listener->uri().to_string()] = listener; });
    return pplx::task_from_result();
  }
  pplx::task<void> unregister_listener(ListenerImpl* listener) override {
    listeners().with([&](auto& map) { map.erase(listener->uri().to_string()); });
    return pplx::task_from_result();
  }
  pplx::task<void> respond(http::http_response reply) override {
    auto* exchange = static_cast<Exchange*>(reply._get_server_context());
    ++reply_count;
    exchange->finish(take_response(reply, *exchange));
    return pplx::task_from_result();
  }

  static ListenerImpl* find(const std::string& uri) {
    return listeners().with([&](auto& map) -> ListenerImpl* {
      const auto it = map.find(uri);
      return it != map.end() ? it->second : nullptr;
    });
  }

 private:
  using Listeners = std::map<std::string, ListenerImpl*>;
  static Guarded<Listeners>& listeners() {
    static Guarded<Listeners> instance;
    return instance;
  }
};

// Opening and closing listeners one at a time: the library drops its server part with the last
// listener, and would start its own sockets for the next one.
std::mutex& lifecycle() {
  static std::mutex instance;
  return instance;
}

// Puts the seam in place before the library starts anything itself. Called with lifecycle() held.
void install_seam() {
  using http::experimental::details::http_server_api;
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kPoolThreads);
    } catch (const std::exception&) {
      // The pool runs already, with its default size: somebody else used the library before.
    }
  });
  if (http_server_api::server_api() == nullptr) {
    http_server_api::register_server_api(std::make_unique<Seam>());
  }
}

// The body has arrived as a whole, so reading it never waits.
Request take_request(const http::http_request& message) {
  Request request;
  request.method = message.method();
  request.path = message.request_uri().path();
  request.query = message.request_uri().query();
  request.user = static_cast<const Exchange*>(message._get_server_context())->user;
  for (const auto& [name, value] : message.headers())
    request.headers.push_back({name, value});
  if (!message.body().is_valid()) return request;
  auto buffer = message.body().streambuf();
  request.body.resize(buffer.in_avail());
  if (!request.body.empty()) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(request.body.data());
    request.body.resize(buffer.getn(bytes, request.body.size()).get());
  }
  return request;
}

// The body is lent to the library without a copy; the exchange owns it until it is sent.
void reply_with(const http::http_request& message, Response response) {
  http::http_response reply(static_cast<http::status_code>(response.status));
  for (const auto& [name, value] : response.headers)
    reply.headers().add(name, value);
  auto* exchange = static_cast<Exchange*>(message._get_server_context());
  exchange->stream = std::move(response.stream);
  exchange->body = std::move(response.body);
  if (exchange->body && !exchange->stream) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(exchange->body->data());
    reply.set_body(Concurrency::streams::rawptr_stream<std::uint8_t>::open_istream(
                       bytes, exchange->body->size()),
                   exchange->body->size(), response.content_type);
  } else {
    reply.headers().set_content_type(response.content_type);
  }
  message.reply(reply);
}

// The last resort for what throws below: the client gets an answer, the daemon goes on.
Response internal_failure(const std::string& what) {
  Failure failure;
  failure.reason = "InternalError";
  failure.message = "the request could not be answered: " + what;
  return refuse(failure);
}

}  // namespace

struct RestRoutes::State {
  explicit State(const std::string& uri) : listener(web::uri(uri)) {}
  http::experimental::listener::http_listener listener;
  ListenerImpl* impl = nullptr;
};

RestRoutes::RestRoutes(std::unique_ptr<State> state) : state_(std::move(state)) {}

RestRoutes::~RestRoutes() {
  const std::lock_guard lock(lifecycle());
  try {
    state_->listener.close().wait();
  } catch (const std::exception&) {
    // A listener that never opened fully has nothing to close.
  }
}

Result<std::unique_ptr<RestRoutes>> RestRoutes::open(const std::string& address, Answer answer) {
  const std::lock_guard lock(lifecycle());
  try {
    install_seam();
    auto state = std::make_unique<State>("http://" + address + "/");
    if (Seam::find(state->listener.uri().to_string()) != nullptr) {
      return fail(Code::conflict, "routes for " + address + " are open already");
    }
    const auto serve = [answer = std::move(answer)](const http::http_request& message) {
      Response response;
      try {
        response = answer(take_request(message));
      } catch (const std::exception& error) {
        response = internal_failure(error.what());
      }
      reply_with(message, std::move(response));
    };
    state->listener.support(serve);
    // These two would otherwise be answered by the library itself.
    state->listener.support(http::methods::OPTIONS, serve);
    state->listener.support(http::methods::TRCE, serve);
    state->listener.open().get();
    state->impl = Seam::find(state->listener.uri().to_string());
    if (state->impl == nullptr) return fail(Code::internal, "cpprestsdk did not open its listener");
    return std::unique_ptr<RestRoutes>(new RestRoutes(std::move(state)));
  } catch (const std::exception& error) {
    return fail(Code::internal, std::string("cpprestsdk: ") + error.what());
  }
}

void RestRoutes::carry(Request request, Done done) {
  // Shared with the exchange, so that a failure on the way cannot answer twice.
  const auto pending = std::make_shared<Done>(std::move(done));
  const Done finish = [pending](Response response) {
    if (auto call = std::exchange(*pending, nullptr)) call(std::move(response));
  };
  auto target = request.path;
  if (!request.query.empty()) target += "?" + request.query;
  try {
    const web::uri uri(target);
    auto message = http::http_request::_create_request(
        std::make_unique<Exchange>(finish, std::move(request.user)));
    message.set_method(request.method);
    message.set_request_uri(uri);
    message._set_listener_path("/");
    const auto size = request.body.size();
    if (size > 0) message.set_body(std::move(request.body), std::string{});
    message.headers().clear();  // of what set_body put there
    for (const auto& [name, value] : request.headers)
      message.headers().add(name, value);
    message._get_impl()->_complete(size);
    state_->impl->handle_request(message);
  } catch (const web::uri_exception&) {
    finish(refuse(bad_request("the target is not a valid URI")));
  } catch (const std::exception& error) {
    finish(internal_failure(error.what()));
  }
}

std::int64_t RestRoutes::replies() {
  return reply_count;
}

}  // namespace moored::net::api
