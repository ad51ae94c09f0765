// One request at a time over libcurl's multi interface: bytes are handed on as they come.
#include "gitsync/repo/http.hpp"

#include <curl/curl.h>
#include <git2.h>
#include <git2/sys/transport.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>

#include "gitsync/repo/names.hpp"
#include "gitsync/repo/transport.hpp"
#include "schema/base/assert.hpp"

namespace moored::git {

// The multi handle keeps the connections.
struct HttpClient::State {
  CURLM* multi = nullptr;
  ServerAccess access;
};

namespace {

constexpr long kConnectSeconds = 10;
constexpr long kSilentSeconds = 15;
constexpr long kConnections = 2;
constexpr int kMaxRedirects = 3;
constexpr std::string_view kListing = "/info/refs?service=git-upload-pack";

struct FreeCurl {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// Where one exchange stands. A redirect leads from asked back to fresh, an answer without a body
// from asked to over, a failure from anywhere to over.
enum class Phase {
  fresh,     // nothing was sent
  asked,     // the request is under way, its answer's head was not judged yet
  answered,  // status and type are what they should be, and the body comes
  over,      // everything has come, or nothing more will
};

// libgit2 hands our structs back by the address of their first member.
struct HttpTransport;
struct HttpStream {
  git_smart_subtransport_stream base{};
  HttpTransport* owner = nullptr;
  bool listing = false;
  std::string request;            // body of a POST
  Phase phase = Phase::fresh;
  std::array<char, CURL_ERROR_SIZE> detail{};  // curl's words for a failure
  std::string received;
  std::size_t taken = 0;          // bytes of received that were handed on
  int redirects = 0;
  std::unique_ptr<CURL, FreeCurl> easy;
  std::unique_ptr<curl_slist, FreeCurl> headers;
};
struct HttpTransport {
  git_smart_subtransport base{};
  HttpClient::State* client = nullptr;
  TransferMeter* meter = nullptr;
  std::string url;                // of the repository; moves with a redirect
};

HttpStream* stream_of(git_smart_subtransport_stream* base) {
  return reinterpret_cast<HttpStream*>(base);
}
HttpTransport* transport_of(git_smart_subtransport* base) {
  return reinterpret_cast<HttpTransport*>(base);
}

// The reason travels in the meter: libgit2 keeps only a sentence.
int refuse(TransferMeter& meter, Code code, std::string reason, std::string message,
           std::string fix = {}) {
  git_error_set_str(GIT_ERROR_NET, message.c_str());
  meter.failure = Error{code, std::move(message), std::move(reason), {}, std::move(fix)};
  return GIT_ERROR;
}

// Scheme, host and port: what may not change between us and the repository.
std::string origin_of(const std::string& text) {
  const std::unique_ptr<CURLU, FreeCurl> url(curl_url());
  std::string origin;
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return origin;
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* piece = nullptr;
    if (curl_url_get(url.get(), part, &piece, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    origin += std::string(piece) + '\n';
    curl_free(piece);
  }
  std::transform(origin.begin(), origin.end(), origin.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return origin;
}

long status_of(const HttpStream& stream) {
  long status = 0;
  curl_easy_getinfo(stream.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  return status;
}

bool is_under_way(Phase phase) { return phase == Phase::asked || phase == Phase::answered; }

bool is_redirect(const HttpStream& stream) {
  const long status = status_of(stream);
  return stream.listing && status >= 300 && status < 400;
}

// The one place where an exchange moves on; curl has its handle while it is under way.
void enter(HttpStream& stream, Phase next) {
  CURLM* multi = stream.owner->client->multi;
  const bool was = is_under_way(stream.phase);
  if (!was && is_under_way(next)) curl_multi_add_handle(multi, stream.easy.get());
  if (was && !is_under_way(next)) curl_multi_remove_handle(multi, stream.easy.get());
  stream.phase = next;
}

// A server that wants to be left alone says so by its status, and may say for how long.
int refuse_status(HttpStream& stream, long status) {
  TransferMeter& meter = *stream.owner->meter;
  curl_off_t wait = 0;
  curl_easy_getinfo(stream.easy.get(), CURLINFO_RETRY_AFTER, &wait);
  if (status == 429 || status == 503 || wait > 0) meter.wait = std::chrono::seconds(wait);
  return refuse(meter, Code::unavailable, "FetchHTTP",
                "the server answers with status code " + std::to_string(status) +
                    (wait > 0 ? ", retry after " + std::to_string(wait) + " s" : ""));
}

// What the answer's head says against it. 0: nothing.
int judge_head(HttpStream& stream) {
  TransferMeter& meter = *stream.owner->meter;
  const long status = status_of(stream);
  if (status == 401) {
    const Credentials& known = stream.owner->client->access.credentials;
    const bool given = !known.password.empty() || !known.bearer_token.empty();
    return refuse(meter, Code::denied, "AuthFailed",
                  given ? "the server does not accept the credentials"
                        : "the server asks for credentials",
                  given ? "renew what secretRef names" : "name a Secret in secretRef");
  }
  if (status == 407) {
    return refuse(meter, Code::denied, "AuthFailed", "the proxy does not accept the credentials",
                  "renew what proxySecretRef names");
  }
  if (status >= 300 && status < 400) {
    return refuse(meter, Code::denied, "RedirectRefused", "the server redirects elsewhere",
                  "write the address that it leads to");
  }
  if (status != 200) return refuse_status(stream, status);
  const char* type = nullptr;
  curl_easy_getinfo(stream.easy.get(), CURLINFO_CONTENT_TYPE, &type);
  const std::string_view wanted = stream.listing ? "application/x-git-upload-pack-advertisement"
                                                 : "application/x-git-upload-pack-result";
  if (type == nullptr || wanted != type) {
    return refuse(meter, Code::unavailable, "FetchHTTP",
                  "the server answers with the content-type " +
                      show_text(type == nullptr ? "none" : type, 64) + " instead of Git's",
                  "is this the URL of a repository, and is nobody asked to log in?");
  }
  return 0;
}

// The body of a redirect or of a refusal is of no use. A short count makes curl stop.
std::size_t take_bytes(char* bytes, std::size_t, std::size_t size, void* payload) {
  auto& stream = *static_cast<HttpStream*>(payload);
  if (stream.phase == Phase::asked) {
    if (is_redirect(stream)) return size;
    if (judge_head(stream) != 0) return 0;
    enter(stream, Phase::answered);
  }
  stream.received.append(bytes, size);
  return size;
}

// The one place that sees where a name has led to: one that leads to this machine or to its
// metadata service is not connected to, whoever said so.
curl_socket_t open_socket(void* payload, curlsocktype, curl_sockaddr* address) {
  auto& stream = *static_cast<HttpStream*>(payload);
  if (!is_reachable(&address->addr, stream.owner->client->access.allow_local)) {
    refuse(*stream.owner->meter, Code::denied, "URLNotAllowed",
           "the name of the server leads to this machine or to a reserved address",
           "name the git server's own address, or set sources.allowLocal");
    return CURL_SOCKET_BAD;
  }
  const int made = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  // Small answers in several packets would otherwise wait for our acknowledgement, 40 ms each.
  const int on = 1;
  if (made >= 0) ::setsockopt(made, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  return made;
}

// curl keeps the pointer and not the bytes; they live in the client.
void set_blob(CURL* easy, CURLoption option, const std::string& bytes) {
  if (bytes.empty()) return;
  curl_blob blob{};
  blob.data = const_cast<char*>(bytes.data());
  blob.len = bytes.size();
  blob.flags = CURL_BLOB_NOCOPY;
  curl_easy_setopt(easy, option, &blob);
}

void set_secrets(CURL* easy, const ServerAccess& access) {
  const Credentials& known = access.credentials;
  if (!known.bearer_token.empty()) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, known.bearer_token.c_str());
  } else if (!known.username.empty() || !known.password.empty()) {
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_USERNAME, known.username.c_str());
    curl_easy_setopt(easy, CURLOPT_PASSWORD, known.password.c_str());
  }
  if (!known.authority.empty()) {
    // The named authority alone: a certificate of the public ones would not be the same server.
    curl_easy_setopt(easy, CURLOPT_CAINFO, nullptr);
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    set_blob(easy, CURLOPT_CAINFO_BLOB, known.authority);
  }
  set_blob(easy, CURLOPT_SSLCERT_BLOB, known.certificate);
  set_blob(easy, CURLOPT_SSLKEY_BLOB, known.key);
  // Empty, and not absent: no environment variable is asked.
  curl_easy_setopt(easy, CURLOPT_PROXY, access.proxy.address.c_str());
  if (access.proxy.address.empty()) return;
  curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, access.proxy.username.c_str());
  curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, access.proxy.password.c_str());
}

void set_rules(CURL* easy, HttpStream& stream) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_NETRC, CURL_NETRC_IGNORED);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &take_bytes);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &stream);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, stream.detail.data());
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &stream);
  // Servers give Git's answers to what calls itself git.
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "git/2 (moored " MOORED_VERSION ")");
}

void set_request(CURL* easy, HttpStream& stream) {
  const std::string url =
      stream.owner->url + (stream.listing ? std::string(kListing) : "/git-upload-pack");
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  if (stream.listing) return;
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  const auto size = static_cast<curl_off_t>(stream.request.size());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, size);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, stream.request.c_str());
  curl_slist* list =
      curl_slist_append(nullptr, "Content-Type: application/x-git-upload-pack-request");
  list = curl_slist_append(list, "Accept: application/x-git-upload-pack-result");
  stream.headers.reset(curl_slist_append(list, "Expect:"));
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, stream.headers.get());
}

int start(HttpStream& stream) {
  stream.easy.reset(curl_easy_init());
  if (!stream.easy) {
    return refuse(*stream.owner->meter, Code::exhausted, "MemoryLimit", "no memory");
  }
  set_rules(stream.easy.get(), stream);
  set_secrets(stream.easy.get(), stream.owner->client->access);
  set_request(stream.easy.get(), stream);
  stream.detail.fill('\0');
  enter(stream, Phase::asked);
  return 0;
}

// Moves bytes until something has changed; how the exchange ended, if it did. One wait is short, as
// the daemon watches the clock.
std::optional<CURLcode> pump(HttpStream& stream) {
  CURLM* multi = stream.owner->client->multi;
  int running = 0;
  if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
  std::optional<CURLcode> result;
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE || message->easy_handle != stream.easy.get()) continue;
    result = message->data.result;
  }
  if (!result && stream.received.empty()) curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  return result;
}

struct CurlReason {
  CURLcode code;
  Code ours;
  const char* reason;
};
// What is not in here is a matter of the network: FetchFailed.
constexpr CurlReason kReasons[] = {
    {CURLE_OPERATION_TIMEDOUT, Code::timeout, "FetchTimeout"},
    {CURLE_PEER_FAILED_VERIFICATION, Code::denied, "TlsRefused"},
    {CURLE_SSL_CONNECT_ERROR, Code::denied, "TlsRefused"},
    {CURLE_SSL_CERTPROBLEM, Code::denied, "TlsRefused"},
    {CURLE_SSL_CACERT_BADFILE, Code::denied, "TlsRefused"},
    {CURLE_SSL_CIPHER, Code::denied, "TlsRefused"},
    {CURLE_UNSUPPORTED_PROTOCOL, Code::denied, "RedirectRefused"},
    {CURLE_OUT_OF_MEMORY, Code::exhausted, "MemoryLimit"}};

// curl's own sentence names no secret; what a server wrote in it is made safe to show.
int explain(HttpStream& stream, CURLcode result) {
  TransferMeter& meter = *stream.owner->meter;
  if (meter.failure) return GIT_ERROR;
  long connect_status = 0;
  curl_easy_getinfo(stream.easy.get(), CURLINFO_HTTP_CONNECTCODE, &connect_status);
  if (connect_status == 407) {
    return refuse(meter, Code::denied, "AuthFailed", "the proxy does not accept the credentials",
                  "renew what proxySecretRef names");
  }
  Code code = Code::unavailable;
  std::string reason = "FetchFailed";
  for (const auto& row : kReasons) {
    if (row.code != result) continue;
    code = row.ours;
    reason = row.reason;
  }
  const std::string_view detail = stream.detail.data();
  // In TLS 1.3 a server refuses our certificate when the handshake is over for us already.
  if (reason == "FetchFailed" && detail.find(" alert ") != std::string_view::npos) {
    code = Code::denied;
    reason = "TlsRefused";
  }
  // An answer that began well and broke off is no matter of reaching the server.
  if (reason == "FetchFailed" && stream.phase == Phase::answered && !stream.listing) {
    code = Code::corrupt;
    reason = "PackCorrupt";
  }
  // Elsewhere the detail holds times, and the same failure would be news at every look.
  const bool tell = reason == "TlsRefused" && !detail.empty();
  return refuse(meter, code, reason,
                show_text(tell ? detail : curl_easy_strerror(result), 200));
}

// Only a redirect of the listing is followed, and only within the origin: what is asked next, and
// the credentials with it, goes where the operator has said.
int follow(HttpStream& stream) {
  TransferMeter& meter = *stream.owner->meter;
  const char* raw = nullptr;
  curl_easy_getinfo(stream.easy.get(), CURLINFO_REDIRECT_URL, &raw);
  const std::string target = raw == nullptr ? "" : raw;
  const bool listing = target.size() > kListing.size() &&
                       target.compare(target.size() - kListing.size(), std::string::npos,
                                      kListing) == 0;
  if (!listing || origin_of(target).empty() || origin_of(target) != origin_of(stream.owner->url)) {
    return refuse(meter, Code::denied, "RedirectRefused",
                  "the server redirects to another server, scheme or kind of address",
                  "write the address that it leads to");
  }
  if (++stream.redirects > kMaxRedirects) {
    return refuse(meter, Code::denied, "RedirectRefused", "the server redirects more than 3 times");
  }
  enter(stream, Phase::fresh);
  stream.owner->url = target.substr(0, target.size() - kListing.size());
  return start(stream);
}

// What the end of an exchange means: another one, the end of the answer, or a failure.
int conclude(HttpStream& stream, CURLcode result) {
  if (result == CURLE_OK && is_redirect(stream)) return follow(stream);
  int code = result == CURLE_OK ? 0 : explain(stream, result);
  if (code == 0 && stream.phase == Phase::asked) code = judge_head(stream);
  enter(stream, Phase::over);
  return code;
}

// Brings the stream to where it has bytes or has ended well.
int advance(HttpStream& stream) {
  while (stream.received.size() == stream.taken) {
    stream.received.clear();
    stream.taken = 0;
    if (stream.phase == Phase::over) return 0;
    if (stream.phase == Phase::fresh && start(stream) != 0) return GIT_ERROR;
    const auto result = pump(stream);
    if (result && conclude(stream, *result) != 0) return GIT_ERROR;
  }
  return 0;
}

int read_stream(git_smart_subtransport_stream* base, char* buffer, size_t size, size_t* got) {
  HttpStream& stream = *stream_of(base);
  *got = 0;
  if (advance(stream) != 0) return GIT_ERROR;
  *got = std::min(size, stream.received.size() - stream.taken);
  std::memcpy(buffer, stream.received.data() + stream.taken, *got);
  stream.taken += *got;
  return 0;
}

// The request is a few lines of what we want and have, so it is sent whole.
int write_stream(git_smart_subtransport_stream* base, const char* buffer, size_t size) {
  stream_of(base)->request.append(buffer, size);
  return 0;
}

// The end of an answer that is here already is read: only then is the connection kept.
void free_stream(git_smart_subtransport_stream* base) {
  const std::unique_ptr<HttpStream> stream(stream_of(base));
  int running = 0;
  if (!is_under_way(stream->phase)) return;
  curl_multi_perform(stream->owner->client->multi, &running);
  enter(*stream, Phase::over);
}

// Each request has a stream of its own.
int start_action(git_smart_subtransport_stream** out, git_smart_subtransport* base, const char* url,
                 git_smart_service_t action) {
  HttpTransport* transport = transport_of(base);
  if (action != GIT_SERVICE_UPLOADPACK_LS && action != GIT_SERVICE_UPLOADPACK) return GIT_ERROR;
  // Later requests go where a redirect of the first has led.
  if (transport->url.empty()) {
    transport->url = url;
    while (!transport->url.empty() && transport->url.back() == '/') transport->url.pop_back();
  }
  auto stream = std::make_unique<HttpStream>();
  stream->base = {base, &read_stream, &write_stream, &free_stream};
  stream->owner = transport;
  stream->listing = action == GIT_SERVICE_UPLOADPACK_LS;
  *out = &stream.release()->base;
  return 0;
}

int close_transport(git_smart_subtransport*) { return 0; }

void free_transport(git_smart_subtransport* base) {
  const std::unique_ptr<HttpTransport> transport(transport_of(base));
}

}  // namespace

HttpClient::HttpClient() : state_(std::make_unique<State>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  state_->multi = curl_multi_init();
  MOORED_ASSERT(state_->multi != nullptr);
  curl_multi_setopt(state_->multi, CURLMOPT_MAXCONNECTS, kConnections);
}

HttpClient::~HttpClient() { curl_multi_cleanup(state_->multi); }

// A connection may have been authorised by its certificate or by the proxy.
void HttpClient::set_access(const ServerAccess& access) {
  if (state_->access == access) return;
  curl_multi_cleanup(state_->multi);
  state_->multi = curl_multi_init();
  MOORED_ASSERT(state_->multi != nullptr);
  curl_multi_setopt(state_->multi, CURLMOPT_MAXCONNECTS, kConnections);
  state_->access = access;
}

int make_http_subtransport(git_smart_subtransport** out, git_transport*, void*) {
  TransferMeter* meter = find_meter();
  if (meter == nullptr || meter->http == nullptr) {
    git_error_set_str(GIT_ERROR_NET, "no conversation over http is under way");
    return GIT_ERROR;
  }
  auto transport = std::make_unique<HttpTransport>();
  transport->base = {&start_action, &close_transport, &free_transport};
  transport->client = &meter->http->state();
  transport->meter = meter;
  *out = &transport.release()->base;
  return 0;
}

}  // namespace moored::git
