// cpprest's client towards our own API; the only file that sees the library.
#include "reconciler/ctl/api_client.hpp"

#include <boost/asio/ssl/context.hpp>
#include <cpprest/http_client.h>
#include <pplx/threadpool.h>

#include <array>
#include <exception>

#include "reconciler/ctl/members.hpp"
#include "schema/codec/text.hpp"

namespace moored::ctl {
namespace {

using web::http::client::http_client;
using web::http::client::http_client_config;

constexpr std::size_t kThreads = 2;
constexpr std::chrono::seconds kAnswerTime{30};    // without a byte
constexpr std::chrono::hours kStreamTime{24 * 30};  // a followed log may be silent for long
constexpr std::size_t kPiece = 16U << 10U;

// The pool's size is fixed by whoever comes first, so this runs before any other use.
void start_pool() {
  static const bool started = [] {
    try {
      crossplat::threadpool::initialize_with_threads(kThreads);
    } catch (const std::exception&) {
      return false;  // it runs already, with the size that somebody else gave it
    }
    return true;
  }();
  static_cast<void>(started);
}

// True for the one certificate that is trusted, whatever names and dates it has: it is this
// machine's own daemon's, read from the file that the daemon serves.
int is_pinned(X509_STORE_CTX* store, void* pin) {
  auto* memory = BIO_new_mem_buf(static_cast<std::string*>(pin)->data(), -1);
  auto* wanted = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  const auto* shown = X509_STORE_CTX_get0_cert(store);
  const bool same = wanted != nullptr && shown != nullptr && X509_cmp(wanted, shown) == 0;
  X509_free(wanted);
  return same ? 1 : 0;
}

// The library checks against the machine's authorities unless it is told otherwise here.
void set_trust(const Endpoint& endpoint, boost::asio::ssl::context& context) {
  if (!endpoint.ca_file.empty()) context.load_verify_file(endpoint.ca_file);
  if (endpoint.pin.empty()) return;
  // The context is used while the endpoint, which the client keeps, is there.
  SSL_CTX_set_cert_verify_callback(context.native_handle(), &is_pinned,
                                   const_cast<std::string*>(&endpoint.pin));
}

web::http::http_request make_request(const Endpoint& endpoint, const std::string& path) {
  web::http::http_request request(web::http::methods::GET);
  request.set_request_uri(path);
  if (!endpoint.token.empty()) {
    request.headers().add("Authorization", "Bearer " + endpoint.token);
  }
  return request;
}

// The timeout is for each read; a followed log is silent for as long as its program.
http_client_config make_config(const Endpoint& endpoint, bool streaming) {
  http_client_config config;
  config.set_max_redirects(0);
  config.set_ssl_context_callback([&endpoint](boost::asio::ssl::context& context) {
    set_trust(endpoint, context);
  });
  if (streaming) {
    config.set_timeout(std::chrono::duration_cast<std::chrono::seconds>(kStreamTime));
  } else {
    config.set_timeout(kAnswerTime);
  }
  return config;
}

// The library's words are kept: refused, reset and unresolved are told apart by them.
Unexpected no_answer(const std::string& url, std::string_view what) {
  return Unexpected(Error{Code::unavailable,
                          "no answer from " + url + ": " + std::string(what),
                          "ServiceUnavailable", {},
                          "is moored running here? otherwise name it with --server or --run-dir"});
}

// The table of codes the other way round.
Code code_of_status(int status) {
  switch (status) {
    case 400: case 422: return Code::invalid;
    case 401: case 403: return Code::denied;
    case 404: return Code::not_found;
    case 409: return Code::conflict;
    case 429: return Code::exhausted;
    case 504: return Code::timeout;
    default: return status >= 500 ? Code::unavailable : Code::invalid;
  }
}

// The error that a Status object speaks of; any other body is quoted.
Error error_of(int status, const std::string& body) {
  Error error{code_of_status(status), "HTTP " + std::to_string(status), {}, {}, {}};
  const auto value = read_json(body);
  const std::string message = value && value->is_map() ? text_in(*value, "message") : body;
  if (!message.empty()) error.message = message.substr(0, 1024);
  if (value && value->is_map()) error.reason = text_in(*value, "reason");
  if (status == 401) error.fix = "run it as root on the machine itself, or give --token-file";
  return error;
}

// Gives the body in pieces as they come. False: take wanted no more.
bool read_body(const web::http::http_response& response,
               const std::function<bool(std::string_view)>& take) {
  auto buffer = response.body().streambuf();
  std::array<unsigned char, kPiece> piece{};
  for (;;) {
    // One byte is waited for; the rest of the piece is what has come with it.
    const auto first = buffer.bumpc().get();
    if (first == decltype(buffer)::traits::eof()) return true;
    piece[0] = static_cast<unsigned char>(first);
    std::size_t size = 1;
    const std::size_t ready = std::min(buffer.in_avail(), piece.size() - 1);
    if (ready > 0) size += buffer.getn(piece.data() + 1, ready).get();
    if (!take({reinterpret_cast<const char*>(piece.data()), size})) return false;
  }
}

// An answer read to its end or to the limit.
struct Answer {
  int status = 0;
  std::string body;
  bool whole = true;
};

// Every task is waited for with get() inside the callers' try: an error nobody looks at would end
// the process.
Answer read_answer(http_client& client, const web::http::http_request& request) {
  const auto response = client.request(request).get();
  Answer answer;
  answer.status = response.status_code();
  answer.whole = read_body(response, [&](std::string_view piece) {
    answer.body += piece;
    return answer.body.size() <= ApiClient::kMaxAnswer;
  });
  return answer;
}

// Wider than for manifests: these are our own daemon's answers, bounded in bytes already.
TextLimits answer_limits() {
  TextLimits limits;
  limits.file_bytes = ApiClient::kMaxAnswer;
  limits.nodes = 10'000'000;
  return limits;
}

}  // namespace

// A token goes out inside of TLS alone, as with kubectl.
Result<ApiClient> ApiClient::create(Endpoint endpoint) {
  start_pool();
  try {
    const web::uri parsed(endpoint.url);
    const bool secure = parsed.scheme() == "https";
    if ((parsed.scheme() != "http" && !secure) || parsed.host().empty()) {
      return Unexpected(Error{Code::invalid, "the server's URL must be https://HOST:PORT or "
                              "http://HOST:PORT", {}, {},
                              "take it from the run directory with --run-dir"});
    }
    if (!secure) endpoint.token.clear();
    endpoint.url = parsed.authority().to_string();
    return ApiClient(std::move(endpoint));
  } catch (const std::exception& failure) {
    return fail(Code::invalid, "the server's URL " + endpoint.url + ": " + failure.what());
  }
}

Result<Value> ApiClient::get_json(const std::string& path) const {
  try {
    http_client client(endpoint_.url, make_config(endpoint_, false));
    const Answer answer = read_answer(client, make_request(endpoint_, path));
    if (!answer.whole) return fail(Code::exhausted, "the answer is longer than 64 MiB");
    if (answer.status != 200) return Unexpected(error_of(answer.status, answer.body));
    auto value = read_json(answer.body, {}, answer_limits());
    if (!value) return fail(Code::corrupt, "the answer of " + endpoint_.url + " is no JSON");
    return value;
  } catch (const std::exception& failure) {
    return no_answer(endpoint_.url, failure.what());
  }
}

Status ApiClient::stream(const std::string& path,
                         const std::function<bool(std::string_view)>& take) const {
  try {
    http_client client(endpoint_.url, make_config(endpoint_, true));
    const auto response = client.request(make_request(endpoint_, path)).get();
    if (response.status_code() == 200) {
      read_body(response, take);
      return {};
    }
    std::string body;
    read_body(response, [&](std::string_view piece) {
      body += piece;
      return body.size() <= kPiece;
    });
    return Unexpected(error_of(response.status_code(), body));
  } catch (const std::exception& failure) {
    return no_answer(endpoint_.url, failure.what());
  }
}

std::string encode_uri_part(std::string_view text) {
  return web::uri::encode_data_string(std::string(text));
}

}  // namespace moored::ctl
