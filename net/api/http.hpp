// A request and its answer in our own words: what the routes see, whatever carries the bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/time.hpp"

namespace moored::net::api {

struct Header {
  std::string name;
  std::string value;
  bool operator==(const Header&) const = default;
};

// One request, already framed and within limits.
struct Request {
  std::string method;
  std::string path;   // as sent: percent-encoded, without the query
  std::string query;  // as sent, without the question mark
  std::vector<Header> headers;
  std::string body;
  std::string user;  // who asks; empty: nobody was asked to say

  // The first header of that name in any case, or empty.
  std::string_view header(std::string_view name) const;
};

// A body that goes on: the transport pulls when it is woken and has room to send.
// Used by one thread at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  // Appends what is ready, at most about pull_bytes(). False: the stream has ended.
  virtual bool pull(const Now& now, std::string& out) = 0;
  // When to pull again although no commit woke us.
  virtual MonoTime next_due() const = 0;
  // Becomes readable when there may be more; -1: only commits and next_due() count.
  virtual int change_fd() const { return -1; }
  // How much one pull may append; the transport holds no more than this for a slow reader, and one
  // object that may go beyond it.
  std::size_t pull_bytes() const { return pull_bytes_; }
  void set_pull_bytes(std::size_t bytes) { pull_bytes_ = bytes; }

 private:
  std::size_t pull_bytes_ = 256U << 10U;
};

// Shared with the connections that are still sending it.
using Body = std::shared_ptr<const std::string>;

struct Response {
  int status = 200;
  std::string content_type;
  std::vector<Header> headers;
  Body body;
  std::unique_ptr<Stream> stream;  // set: sent chunked after the head, instead of body
};

// True when two header names are equal but for the case of ASCII letters.
bool same_name(std::string_view left, std::string_view right);
// A whole answer of one type.
Response make_response(int status, std::string content_type, std::string body);
// An answer in JSON.
Response make_json(std::string body, int status = 200);
// The standard words of a status code.
std::string_view status_words(int status);

}  // namespace moored::net::api
