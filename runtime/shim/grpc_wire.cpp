#include <array>
#include <cstdint>

#include "runtime/shim/wire.hpp"

namespace moored::shim {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kFrameHead = 9;
constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7;
constexpr std::uint8_t kAck = 1, kEndStream = 1, kEndHeaders = 4, kPadded = 8;

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  std::string out;
  const auto size = payload.size();
  for (const unsigned shift : {16U, 8U, 0U})
    out += static_cast<char>(size >> shift & 0xffU);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const unsigned shift : {24U, 16U, 8U, 0U})
    out += static_cast<char>(stream >> shift & 0xffU);
  return out.append(payload);
}

// A text of HPACK without Huffman coding: length with a 7-bit prefix, then the bytes.
void put_text(std::string& out, std::string_view text) {
  std::size_t size = text.size();
  if (size < 127) {
    out += static_cast<char>(size);
  } else {
    out += static_cast<char>(127);
    for (size -= 127; size >= 128; size /= 128)
      out += static_cast<char>(size % 128 + 128);
    out += static_cast<char>(size);
  }
  out += text;
}

// A literal header that is never indexed.
void put_header(std::string& out, std::string_view name, std::string_view value) {
  out += static_cast<char>(0x10);
  put_text(out, name);
  put_text(out, value);
}

struct Frame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string_view payload;
};

std::uint32_t read_number(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value = value << 8U | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

// Takes one whole frame off the front.
std::optional<Frame> take_frame(std::string_view& bytes) {
  if (bytes.size() < kFrameHead) return std::nullopt;
  const std::size_t size = read_number(bytes, 0, 3);
  if (bytes.size() - kFrameHead < size) return std::nullopt;
  Frame out;
  out.type = static_cast<std::uint8_t>(bytes[3]);
  out.flags = static_cast<std::uint8_t>(bytes[4]);
  out.stream = read_number(bytes, 5, 4) & 0x7fffffffU;
  out.payload = bytes.substr(kFrameHead, size);
  bytes.remove_prefix(kFrameHead + size);
  return out;
}

// HealthCheckResponse{status}: field 1, varint. 1 is SERVING. Absent means 0, unknown.
int read_health_status(std::string_view message) {
  if (message.size() < 2 || message[0] != '\x08') return 0;
  return static_cast<unsigned char>(message[1]) & 0x7f;
}

// What the data that belongs to our call say, once a whole message is there.
void judge(std::string_view data, HealthReply& reply) {
  constexpr std::size_t kMessageHead = 5;  // compression flag and length
  if (data.size() < kMessageHead) return;
  const std::size_t size = read_number(data, 1, 4);
  if (data[0] != '\0') {
    reply.progress = HealthReply::Progress::broken;
    reply.detail = "the answer is compressed";
  } else if (data.size() - kMessageHead >= size) {
    constexpr std::array<std::string_view, 4> kNames{"UNKNOWN", "SERVING", "NOT_SERVING",
                                                     "SERVICE_UNKNOWN"};
    const int status = read_health_status(data.substr(kMessageHead, size));
    reply.progress =
        status == 1 ? HealthReply::Progress::serving : HealthReply::Progress::not_serving;
    reply.detail = "service unhealthy (responded with \"";
    reply.detail += status < 4 ? kNames[static_cast<std::size_t>(status)] : "?";
    reply.detail += "\")";
  }
}

// Padding is allowed on data frames and never part of the message.
std::string_view without_padding(const Frame& frame) {
  if ((frame.flags & kPadded) == 0 || frame.payload.empty()) return frame.payload;
  const auto padding = static_cast<unsigned char>(frame.payload[0]);
  if (frame.payload.size() < 1U + padding) return {};
  return frame.payload.substr(1, frame.payload.size() - 1 - padding);
}

}  // namespace

// Everything at once: the server's settings cannot change what is sent here.
std::string make_health_request(const std::string& authority, const std::string& service) {
  std::string headers;
  put_header(headers, ":method", "POST");
  put_header(headers, ":scheme", "http");
  put_header(headers, ":path", "/grpc.health.v1.Health/Check");
  put_header(headers, ":authority", authority);
  put_header(headers, "content-type", "application/grpc");
  put_header(headers, "user-agent", "kube-probe/1.30");
  put_header(headers, "te", "trailers");
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, length-delimited
    std::size_t size = service.size();
    for (; size >= 128; size /= 128)
      message += static_cast<char>(size % 128 + 128);
    message += static_cast<char>(size);
    message += service;
  }
  std::string body(1, '\0');
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    body += static_cast<char>(message.size() >> shift & 0xffU);
  }
  body += message;
  return std::string(kPreface) + frame(kSettings, 0, 0, "") +
         frame(kHeaders, kEndHeaders, 1, headers) + frame(kData, kEndStream, 1, body);
}

// Reads from the start each time: an answer is a few hundred bytes.
HealthReply parse_health_reply(std::string_view bytes, std::size_t& seen) {
  HealthReply reply;
  std::string data;
  std::size_t number = 0;
  while (const auto next = take_frame(bytes)) {
    ++number;
    const bool fresh = number > seen;
    if (next->type == kSettings && (next->flags & kAck) == 0 && fresh) {
      reply.to_send += frame(kSettings, kAck, 0, "");
    } else if (next->type == kPing && (next->flags & kAck) == 0 && fresh) {
      reply.to_send += frame(kPing, kAck, 0, next->payload);
    } else if (next->type == kGoAway || (next->type == kReset && next->stream == 1)) {
      reply.progress = HealthReply::Progress::broken;
      reply.detail = "the server ended the call";
    } else if (next->type == kData && next->stream == 1) {
      data += without_padding(*next);
    }
    if (reply.progress == HealthReply::Progress::more) judge(data, reply);
    const bool ends = next->type == kHeaders || next->type == kData;
    if (reply.progress == HealthReply::Progress::more && ends && next->stream == 1 &&
        (next->flags & kEndStream) != 0) {
      reply.progress = HealthReply::Progress::broken;
      reply.detail = "the server does not answer health checks";
    }
  }
  seen = number;
  return reply;
}

}  // namespace moored::shim
