// What a server says of its references, cut down to those that are asked for. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace moored::git {

// libgit2 keeps three bytes and more for each byte of the list, and servers have lists of a hundred
// thousand references or, hostile ones, without an end. So the list is read here packet by packet
// as it comes, and only what matters is handed on: the first reference, which carries the server's
// capabilities, the wanted ones, and everything that is no reference.
// Source: gitprotocol-pack(5), gitprotocol-common(5).
class AdvertisementFilter {
 public:
  // wanted: a full reference name; with a slash at its end all names below; empty: every one.
  explicit AdvertisementFilter(std::string wanted) : wanted_(std::move(wanted)) {}

  // Takes bytes as they came and appends what is to be handed on. At most one packet (64 KiB) is
  // kept back. What is not made of packets is handed on whole: libgit2 has words for it.
  void take(std::string_view bytes, std::string& out);
  // The list has ended: appends what was kept back, which is less than a packet.
  void finish(std::string& out);

 private:
  bool is_kept(std::string_view line) const;

  std::string wanted_;
  std::string pending_;    // the beginning of a packet
  bool broken_ = false;    // the bytes are no packets
};

}  // namespace moored::git
