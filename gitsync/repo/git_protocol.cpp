#include "gitsync/repo/git_protocol.hpp"

#include <curl/curl.h>
#include <fcntl.h>
#include <git2.h>
#include <git2/sys/transport.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "gitsync/repo/address.hpp"
#include "gitsync/repo/names.hpp"
#include "gitsync/repo/transport.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::git {
namespace {

constexpr std::chrono::milliseconds kLongestConnect{10'000};  // to all addresses together
constexpr int kGitPort = 9418;

// libgit2 hands our structs back by the address of their first member.
struct GitTransport;
struct GitStream {
  git_smart_subtransport_stream base{};
  GitTransport* owner = nullptr;
  UniqueFd socket;
};
struct GitTransport {
  git_smart_subtransport base{};
  TransferMeter* meter = nullptr;
  GitStream* stream = nullptr;  // owned by libgit2, freed through free_stream
};

GitStream* stream_of(git_smart_subtransport_stream* base) {
  return reinterpret_cast<GitStream*>(base);
}
GitTransport* transport_of(git_smart_subtransport* base) {
  return reinterpret_cast<GitTransport*>(base);
}

int fail_with(TransferMeter& meter, Error error) {
  git_error_set_str(GIT_ERROR_NET, error.message.c_str());
  meter.failure = std::move(error);
  return GIT_ERROR;
}

// What broke the conversation off: libgit2 keeps the sentence, and whoever asked gives it a reason.
int fail_on_socket(const char* what) {
  git_error_set_str(GIT_ERROR_NET, system_error(what, errno).message.c_str());
  return GIT_ERROR;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// Waits for a connection that was begun. False: errno says why there is none.
bool await_connection(int socket, std::chrono::milliseconds patience) {
  pollfd waiting{socket, POLLOUT, 0};
  int ready = 0;
  do ready = ::poll(&waiting, 1, static_cast<int>(patience.count()));
  while (ready < 0 && errno == EINTR);
  if (ready == 0) errno = ETIMEDOUT;
  if (ready <= 0) return false;
  int reason = 0;
  socklen_t size = sizeof reason;
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &reason, &size) != 0) return false;
  errno = reason;
  return reason == 0;
}

// A blocking socket that is connected to an address (IPv4 or IPv6), or none and errno.
UniqueFd connect_to(const std::string& address, int port, std::chrono::milliseconds patience) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &raw) != 0) {
    errno = EADDRNOTAVAIL;
    return {};
  }
  const std::unique_ptr<addrinfo, FreeAddresses> found(raw);
  UniqueFd made(::socket(raw->ai_family, raw->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) return {};
  const bool begun = ::connect(made.get(), raw->ai_addr, raw->ai_addrlen) == 0;
  if (!begun && (errno != EINPROGRESS || !await_connection(made.get(), patience))) return {};
  if (::fcntl(made.get(), F_SETFL, 0) != 0) return {};
  return made;
}

// The repository as the server is asked for it: all that follows the server's name, with %20 and
// the like resolved, as git does it. Nothing: there is none, or it has characters of no name.
std::string find_path(const std::string& url) {
  const auto authority = url.find("://") + 3;
  const auto begin = url.find_first_of("/?#", authority);
  if (begin == std::string::npos || url[begin] != '/') return {};
  int size = 0;
  const std::unique_ptr<char, void (*)(void*)> decoded(
      curl_easy_unescape(nullptr, url.c_str() + begin, static_cast<int>(url.size() - begin), &size),
      &curl_free);
  if (!decoded) return {};
  const std::string path(decoded.get(), static_cast<std::size_t>(size));
  const bool plain = std::none_of(path.begin(), path.end(), [](unsigned char letter) {
    return letter < 0x20 || letter == 0x7f;
  });
  if (!plain || path == "/") return {};
  return path.compare(0, 2, "/~") == 0 ? path.substr(1) : path;
}

// With the name that was asked for: one server may hold the repositories of many.
std::string make_request(const SourceUrl& url, const std::string& path) {
  const bool six = url.host.find(':') != std::string::npos;
  std::string host = six ? '[' + url.host + ']' : url.host;
  if (url.port != 0) host += ':' + std::to_string(url.port);
  std::string line = "git-upload-pack " + path;
  line += '\0';
  line += "host=" + host;
  line += '\0';
  std::array<char, 5> length{};
  std::snprintf(length.data(), length.size(), "%04zx", line.size() + 4);
  return length.data() + line;
}

int send_all(int socket, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(socket, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail_on_socket("send to the server");
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return 0;
}

// The kernel goes back to late acknowledgements by itself, so each read asks anew: a server that
// answers in several small packets would wait 40 ms for each of them.
int read_stream(git_smart_subtransport_stream* base, char* buffer, size_t size, size_t* got) {
  const int socket = stream_of(base)->socket.get();
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  ssize_t read = 0;
  do read = ::recv(socket, buffer, size, 0);
  while (read < 0 && errno == EINTR);
  if (read < 0) return fail_on_socket("receive from the server");
  *got = static_cast<std::size_t>(read);
  return 0;
}

int write_stream(git_smart_subtransport_stream* base, const char* buffer, size_t size) {
  return send_all(stream_of(base)->socket.get(), buffer, size);
}

void free_stream(git_smart_subtransport_stream* base) {
  const std::unique_ptr<GitStream> stream(stream_of(base));
  stream->owner->stream = nullptr;
}

// The first of the server's addresses that answers.
int connect_to_server(UniqueFd& connected, TransferMeter& meter) {
  const SourceUrl& url = *meter.url;
  const bool allow_local = meter.access != nullptr && meter.access->allow_local;
  auto addresses = find_addresses(url.host, allow_local);
  if (!addresses) return fail_with(meter, std::move(addresses).error());
  const auto patience = kLongestConnect / addresses->size();
  for (const auto& address : *addresses) {
    connected = connect_to(address, url.port == 0 ? kGitPort : url.port, patience);
    if (connected) return 0;
  }
  Error error = system_error("connect to " + show_text(url.host, 253), errno);
  error.code = Code::unavailable;
  error.reason = "FetchFailed";
  error.fix = "look whether git daemon listens there";
  return fail_with(meter, std::move(error));
}

// The list of references and the pack come over one connection, so the stream is the same.
int start_action(git_smart_subtransport_stream** out, git_smart_subtransport* base, const char*,
                 git_smart_service_t action) {
  GitTransport& transport = *transport_of(base);
  if (action == GIT_SERVICE_UPLOADPACK && transport.stream != nullptr) {
    *out = &transport.stream->base;
    return 0;
  }
  if (action != GIT_SERVICE_UPLOADPACK_LS) {
    git_error_set_str(GIT_ERROR_NET, "the server is only read from");
    return GIT_ERROR;
  }
  const std::string path = find_path(transport.meter->url->url);
  if (path.empty()) {
    Error error{Code::invalid, "the URL has no path, or one that no repository can have",
                "InvalidValue", {}, "write git://host/path"};
    return fail_with(*transport.meter, std::move(error));
  }
  auto stream = std::make_unique<GitStream>();
  stream->base = {base, &read_stream, &write_stream, &free_stream};
  stream->owner = &transport;
  int code = connect_to_server(stream->socket, *transport.meter);
  if (code < 0) return code;
  const std::string request = make_request(*transport.meter->url, path);
  code = send_all(stream->socket.get(), request.data(), request.size());
  if (code < 0) return code;
  transport.stream = stream.release();
  *out = &transport.stream->base;
  return 0;
}

// The stream outlives a close; libgit2 frees it by itself.
int close_transport(git_smart_subtransport*) { return 0; }

void free_transport(git_smart_subtransport* base) {
  const std::unique_ptr<GitTransport> transport(transport_of(base));
}

}  // namespace

int make_git_subtransport(git_smart_subtransport** out, git_transport*, void*) {
  TransferMeter* meter = find_meter();
  if (meter == nullptr || meter->url == nullptr) {
    git_error_set_str(GIT_ERROR_NET, "no conversation with a server is under way");
    return GIT_ERROR;
  }
  auto transport = std::make_unique<GitTransport>();
  transport->base = {&start_action, &close_transport, &free_transport};
  transport->meter = meter;
  *out = &transport.release()->base;
  return 0;
}

}  // namespace moored::git
