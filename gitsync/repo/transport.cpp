// A wrapper around libgit2's transports that counts and reports.
#include "gitsync/repo/transport.hpp"

#include <git2.h>
#include <git2/sys/transport.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "gitsync/repo/advertisement.hpp"
#include "gitsync/repo/git_protocol.hpp"
#include "gitsync/repo/http.hpp"
#include "gitsync/repo/library.hpp"
#include "schema/base/assert.hpp"

namespace moored::git {
namespace {

thread_local TransferMeter* current_meter = nullptr;

// libgit2 hands our structs back by the address of their first member.
struct CountedTransport;
struct CountedStream {
  git_smart_subtransport_stream base{};
  git_smart_subtransport_stream* inner = nullptr;
  CountedTransport* owner = nullptr;
  bool advertisement = false;
  AdvertisementFilter filter{{}};
  std::string ready;             // of the advertisement: what is to be handed on
  std::size_t given = 0;         // bytes of ready that were
};
struct CountedTransport {
  git_smart_subtransport base{};
  git_smart_subtransport* inner = nullptr;
  CountedStream* stream = nullptr;  // owned by libgit2, freed through free_stream
};

// The base is the first member of a standard-layout struct, so the address is the same.
CountedStream* stream_of(git_smart_subtransport_stream* base) {
  return reinterpret_cast<CountedStream*>(base);
}

CountedTransport* transport_of(git_smart_subtransport* base) {
  return reinterpret_cast<CountedTransport*>(base);
}

// The reason travels in the meter: libgit2 keeps only a sentence.
int refuse(TransferMeter& meter, const char* reason, const std::string& sentence) {
  meter.exceeded = reason;
  git_error_set_str(GIT_ERROR_NET, sentence.c_str());
  return GIT_ERROR;
}

// Adds to the count that the bytes belong to. Not 0: the limit is passed.
int count(bool advertisement, std::size_t bytes) {
  if (current_meter == nullptr) return 0;
  TransferMeter& meter = *current_meter;
  if (meter.progress) meter.progress();
  std::size_t& sum = advertisement ? meter.advertisement_bytes : meter.pack_bytes;
  sum += bytes;
  if (meter.advertisement_bytes > meter.advertisement_limit) {
    return refuse(meter, "AdvertisementLimit", "the list of references is too long");
  }
  if (meter.pack_bytes > meter.pack_limit) {
    return refuse(meter, "DiskBudget", "the pack is larger than the " +
                                           std::to_string(meter.pack_limit >> 20U) +
                                           " MiB that are left for this source");
  }
  return 0;
}

// Counted after the read: one buffer of libgit2 is the most that slips past a limit.
int read_counted(CountedStream& stream, char* buffer, size_t size, size_t* got) {
  const int code = stream.inner->read(stream.inner, buffer, size, got);
  return code < 0 ? code : count(stream.advertisement, *got);
}

// Reads on until there is something of the list that is wanted, or its end.
int read_wanted(CountedStream& stream, char* buffer, size_t size) {
  stream.ready.clear();
  stream.given = 0;
  while (stream.ready.empty()) {
    size_t got = 0;
    const int code = read_counted(stream, buffer, size, &got);
    if (code < 0) return code;
    if (got > 0) {
      stream.filter.take({buffer, got}, stream.ready);
      continue;
    }
    stream.filter.finish(stream.ready);
    break;
  }
  if (current_meter == nullptr) return 0;
  current_meter->wanted_bytes += stream.ready.size();
  if (current_meter->wanted_bytes <= current_meter->wanted_limit) return 0;
  return refuse(*current_meter, "AdvertisementLimit", "the list of branches is too long");
}

int read_stream(git_smart_subtransport_stream* base, char* buffer, size_t size, size_t* got) {
  CountedStream& stream = *stream_of(base);
  if (!stream.advertisement) return read_counted(stream, buffer, size, got);
  if (stream.given == stream.ready.size()) {
    const int code = read_wanted(stream, buffer, size);
    if (code < 0) return code;
  }
  *got = std::min(size, stream.ready.size() - stream.given);
  std::memcpy(buffer, stream.ready.data() + stream.given, *got);
  stream.given += *got;
  return 0;
}

int write_stream(git_smart_subtransport_stream* base, const char* buffer, size_t size) {
  CountedStream* stream = stream_of(base);
  return stream->inner->write(stream->inner, buffer, size);
}

void free_stream(git_smart_subtransport_stream* base) {
  const std::unique_ptr<CountedStream> stream(stream_of(base));
  stream->owner->stream = nullptr;
  stream->inner->free(stream->inner);
}

// A stateful transport answers with the same stream again, and libgit2 insists on it.
int start_action(git_smart_subtransport_stream** out, git_smart_subtransport* base, const char* url,
                 git_smart_service_t action) {
  CountedTransport* transport = transport_of(base);
  git_smart_subtransport_stream* inner = nullptr;
  const int code = transport->inner->action(&inner, transport->inner, url, action);
  if (code < 0) return code;
  CountedStream* stream = transport->stream;
  if (stream == nullptr || stream->inner != inner) {
    stream = new CountedStream;
    stream->base = {base, &read_stream, &write_stream, &free_stream};
    stream->inner = inner;
    stream->owner = transport;
    transport->stream = stream;
  }
  stream->advertisement = action == GIT_SERVICE_UPLOADPACK_LS;
  if (stream->advertisement) {
    const TransferMeter* meter = current_meter;
    stream->filter = AdvertisementFilter(meter == nullptr ? std::string() : meter->wanted);
  }
  *out = &stream->base;
  return 0;
}

// The stream outlives a close; libgit2 frees it by itself.
int close_transport(git_smart_subtransport* base) {
  return transport_of(base)->inner->close(transport_of(base)->inner);
}

void free_transport(git_smart_subtransport* base) {
  const std::unique_ptr<CountedTransport> transport(transport_of(base));
  transport->inner->free(transport->inner);
}

// libgit2 owns the wrapper from here on and frees it through free_transport.
int wrap(git_smart_subtransport** out, git_smart_subtransport* inner) {
  auto transport = std::make_unique<CountedTransport>();
  transport->base = {&start_action, &close_transport, &free_transport};
  transport->inner = inner;
  *out = &transport.release()->base;
  return 0;
}

// The same maker serves https: the inner transport looks at the URL.
int make_http(git_smart_subtransport** out, git_transport* owner, void* param) {
  git_smart_subtransport* inner = nullptr;
  const int code = make_http_subtransport(&inner, owner, param);
  return code < 0 ? code : wrap(out, inner);
}

int make_ssh(git_smart_subtransport** out, git_transport* owner, void* param) {
  git_smart_subtransport* inner = nullptr;
  const int code = git_smart_subtransport_ssh(&inner, owner, param);
  return code < 0 ? code : wrap(out, inner);
}

int make_git(git_smart_subtransport** out, git_transport* owner, void* param) {
  git_smart_subtransport* inner = nullptr;
  const int code = make_git_subtransport(&inner, owner, param);
  return code < 0 ? code : wrap(out, inner);
}

}  // namespace

MeterScope::MeterScope(TransferMeter& meter) {
  MOORED_ASSERT(current_meter == nullptr);
  current_meter = &meter;
}

MeterScope::~MeterScope() { current_meter = nullptr; }

TransferMeter* find_meter() { return current_meter; }

// Registered ones come before the built-in ones.
Status register_counted_transports() {
  static git_smart_subtransport_definition http{&make_http, 1, nullptr};
  static git_smart_subtransport_definition git{&make_git, 0, nullptr};
  for (const char* scheme : {"http", "https"}) {
    const int code = git_transport_register(scheme, &git_transport_smart, &http);
    if (code < 0) return Unexpected(library_error("register a transport", code));
  }
  static git_smart_subtransport_definition ssh{&make_ssh, 0, nullptr};
  int code = git_transport_register("git", &git_transport_smart, &git);
  if (code == 0) code = git_transport_register("ssh", &git_transport_smart, &ssh);
  if (code < 0) return Unexpected(library_error("register a transport", code));
  return {};
}

}  // namespace moored::git
