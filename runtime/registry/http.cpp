// libcurl behind HttpClient: no environment, no cookies, no redirects, no protocols but HTTP.
#include "runtime/registry/http.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace moored::registry {
namespace {

constexpr long kConnectSeconds = 10;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;
using HeaderList = std::unique_ptr<curl_slist, FreeList>;
using Url = std::unique_ptr<CURLU, FreeUrl>;

// What the callbacks of one transfer share. Nothing may be thrown through libcurl.
struct Transfer {
  const BodySink* sink = nullptr;
  HttpResponse response;
  std::size_t header_bytes = 0;
  bool foreign = false;
  std::optional<Error> error;  // why a callback ended the transfer
  bool enough = false;         // it was ended because nothing more is of use
};

bool is_success(int status) { return status >= 200 && status < 300; }

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

void take_header(HttpResponse& response, std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string value(trim(line.substr(colon + 1)));
  if (name == "www-authenticate") response.challenges.push_back(value);
  response.headers[name] = value;
}

// Called for each line of the head. Less than size ends the transfer.
std::size_t on_header(char* bytes, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line(bytes, size);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kMaxHeaderBytes) {
    transfer.error = Error{Code::exhausted, "the server sends more than 64 KiB of headers", {}, {},
                           {}};
    return 0;
  }
  if (line.rfind("HTTP/", 0) == 0) {
    const auto space = line.find(' ');
    const auto digits = line.substr(std::min(space + 1, line.size()), 3);
    transfer.response = HttpResponse{};
    transfer.response.status = std::atoi(std::string(digits).c_str());
    return size;
  }
  if (!trim(line).empty()) {
    take_header(transfer.response, line);
    return size;
  }
  // Some registries announce a body here that never comes.
  if (transfer.response.status == 416) {
    transfer.enough = true;
    return 0;
  }
  return size;
}

std::size_t on_body(char* bytes, std::size_t, std::size_t size, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (!is_success(transfer.response.status)) {
    auto& body = transfer.response.body;
    body.append(bytes, std::min(size, kMaxErrorBytes - std::min(kMaxErrorBytes, body.size())));
    transfer.enough = body.size() >= kMaxErrorBytes;
    return transfer.enough ? 0 : size;
  }
  auto taken = (*transfer.sink)(transfer.response, {bytes, size});
  if (taken) return size;
  transfer.error = std::move(taken).error();
  return 0;
}

// Addresses by which a stranger could make us speak to ourselves or to our neighbours' machinery.
bool is_near(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const auto number = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    return number >> 24U == 127 || number >> 24U == 0 || number >> 16U == 0xa9fe;
  }
  const auto& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
         IN6_IS_ADDR_LINKLOCAL(&six) || IN6_IS_ADDR_V4MAPPED(&six);
}

curl_socket_t on_socket(void* context, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (transfer.foreign && is_near(&address->addr)) {
    transfer.error = Error{Code::denied, "the registry leads to an address of this machine or link",
                           "RedirectRefused", {}, {}};
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// The words of libcurl stay, its numbers become our codes.
Error make_error(CURLcode code, const std::string& text) {
  const auto say = [&](Code kind, const char* reason, std::string fix = {}) {
    return Error{kind, text, reason, {}, std::move(fix)};
  };
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return say(Code::timeout, "");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return say(Code::denied, "CertificateInvalid", "name its authority as caFile");
    case CURLE_SSL_CONNECT_ERROR:
      return say(Code::unavailable, "", "a registry without TLS must be named as insecure");
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING: return say(Code::unavailable, "ConnectionLost");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return say(Code::invalid, "URLNotAllowed");
    default: return say(Code::unavailable, "");
  }
}

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(HttpLimits limits) : limits_(std::move(limits)), easy_(curl_easy_init()) {}

  Result<HttpResponse> send(const HttpRequest& request, const BodySink& sink) override {
    if (!easy_) return fail(Code::exhausted, "libcurl cannot be started");
    Transfer transfer;
    transfer.sink = &sink;
    transfer.foreign = request.foreign;
    curl_easy_reset(easy_.get());  // connections stay
    std::array<char, CURL_ERROR_SIZE> words{};
    const auto headers = set_request(request);
    set_limits(request, words.data());
    set_callbacks(transfer);
    const auto code = curl_easy_perform(easy_.get());
    if (transfer.error) return Unexpected(*std::move(transfer.error));
    if (code == CURLE_OK || transfer.enough) return std::move(transfer.response);
    const char* text = words.front() != '\0' ? words.data() : curl_easy_strerror(code);
    return Unexpected(make_error(code, text));
  }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    // Options fail only when this build of the library lacks them, which the transfer then shows.
    static_cast<void>(curl_easy_setopt(easy_.get(), option, value));
  }

  // The list must live as long as the transfer.
  HeaderList set_request(const HttpRequest& request) {
    set(CURLOPT_URL, request.url.c_str());
    HeaderList list;
    const auto add = [&](const std::string& line) {
      list.reset(curl_slist_append(list.release(), line.c_str()));
    };
    for (const auto& type : request.accept) add("Accept: " + type);
    if (!request.authorization.empty()) add("Authorization: " + request.authorization);
    if (request.offset > 0) add("Range: bytes=" + std::to_string(request.offset) + "-");
    set(CURLOPT_HTTPHEADER, list.get());
    if (!request.form.empty()) {
      set(CURLOPT_POSTFIELDSIZE, static_cast<long>(request.form.size()));
      set(CURLOPT_COPYPOSTFIELDS, request.form.c_str());
    }
    return list;
  }

  void set_limits(const HttpRequest& request, char* words) {
    set(CURLOPT_ERRORBUFFER, words);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_PROXY, "");  // the environment has no say
    set(CURLOPT_USERAGENT, "moored/" MOORED_VERSION);
    set(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits_.idle_seconds));
    set(CURLOPT_TIMEOUT, static_cast<long>(limits_.total_seconds));
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!limits_.certificates.empty()) {
      curl_blob blob{limits_.certificates.data(), limits_.certificates.size(), CURL_BLOB_NOCOPY};
      set(CURLOPT_CAINFO_BLOB, &blob);
    }
    // A connection to where strangers may not lead could be one from before.
    if (request.foreign) set(CURLOPT_FRESH_CONNECT, 1L);
  }

  void set_callbacks(Transfer& transfer) {
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, &transfer);
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, &transfer);
    set(CURLOPT_OPENSOCKETFUNCTION, &on_socket);
    set(CURLOPT_OPENSOCKETDATA, &transfer);
  }

  HttpLimits limits_;
  Easy easy_;
};

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

Unexpected refuse(const std::string& url) {
  return Unexpected(Error{Code::invalid, "the address " + url.substr(0, 256) + " is not allowed",
                          "URLNotAllowed", {}, {}});
}

}  // namespace

std::unique_ptr<HttpClient> make_http_client(HttpLimits limits) {
  return std::make_unique<CurlClient>(std::move(limits));
}

Result<std::string> read_origin(const std::string& url) {
  const Url parsed(curl_url());
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return refuse(url);
  }
  const auto scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  auto host = part_of(parsed.get(), CURLUPART_HOST);
  const auto port = part_of(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (scheme != "http" && scheme != "https") return refuse(url);
  if (host.empty() || !part_of(parsed.get(), CURLUPART_USER).empty()) return refuse(url);
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool usual = port == (scheme == "http" ? "80" : "443");
  return scheme + "://" + host + (usual ? "" : ":" + port);
}

Result<std::string> resolve_location(const std::string& url, const std::string& location) {
  const Url parsed(curl_url());
  const bool good = parsed &&
                    curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) == CURLUE_OK &&
                    curl_url_set(parsed.get(), CURLUPART_URL, location.c_str(), 0) == CURLUE_OK;
  if (!good) return refuse(location);
  const auto target = part_of(parsed.get(), CURLUPART_URL);
  MOORED_TRY(const auto origin, read_origin(target));
  return target;
}

std::string escape_query(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
    }
  }
  return out;
}

}  // namespace moored::registry
