#include "net/pod/address_pool.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <vector>

#include "schema/host/sha256.hpp"

namespace moored::net {
namespace {

constexpr std::string_view kHeader = "moored-addresses 1";

Unexpected corrupt(int line, const std::string& what) {
  return Unexpected(
      Error{Code::corrupt, "address file, line " + std::to_string(line) + ": " + what, {}, {}, {}});
}

bool read_seconds(const std::string& text, std::int64_t& seconds) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> split_words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;)
    words.push_back(word);
  return words;
}

}  // namespace

bool is_pod_uid(std::string_view uid) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !uid.empty() && uid.size() <= 63 && std::all_of(uid.begin(), uid.end(), allowed);
}

AddressPool::AddressPool(Ipv4Prefix prefix, std::string link_prefix)
    : prefix_(prefix), link_prefix_(std::move(link_prefix)), next_{prefix.first().value + 2} {}

const Allocation* AddressPool::find(const std::string& uid) const {
  const auto found = allocations_.find(uid);
  return found == allocations_.end() ? nullptr : &found->second;
}

bool AddressPool::is_free(Ipv4 address, Time now) const {
  if (used_.count(address) != 0) return false;
  const auto rest = resting_.find(address);
  if (rest == resting_.end()) return true;
  // A clock that was set back must not keep an address resting for ever.
  return now < rest->second ? rest->second - now > kRest : now - rest->second >= kRest;
}

// A digest rather than the uid's own digits: uids of one owner may begin alike. Links are told
// apart by name only, so a clash takes the next digits.
std::string AddressPool::make_link_name(const std::string& uid) const {
  const auto digest = sha256_hex(uid);
  for (std::size_t i = 0; i + 8 <= digest.size(); ++i) {
    auto name = link_prefix_ + digest.substr(i, 8);
    const bool taken = std::any_of(allocations_.begin(), allocations_.end(),
                                   [&](const auto& row) { return row.second.link == name; });
    if (!taken) return name;
  }
  return {};
}

Result<Allocation> AddressPool::allocate(const std::string& uid, Time now) {
  if (const auto* present = find(uid)) return *present;
  const Ipv4 low{prefix_.first().value + 2};
  const Ipv4 high{prefix_.last().value - 1};
  if (next_ < low || next_ > high) next_ = low;
  const auto size = high < low ? 0 : high.value - low.value + 1;
  for (std::uint32_t i = 0; i < size; ++i) {
    const Ipv4 candidate{low.value + (next_.value - low.value + i) % size};
    if (!is_free(candidate, now)) continue;
    const Allocation allocation{candidate, make_link_name(uid)};
    if (allocation.link.empty()) break;
    next_ = {candidate.value + 1};
    adopt(uid, allocation);
    return allocation;
  }
  return Unexpected(Error{Code::exhausted,
                          "no pod address is free in " + format(prefix_),
                          "AddressesExhausted",
                          {},
                          "give the daemon a larger --pod-cidr"});
}

void AddressPool::adopt(const std::string& uid, const Allocation& allocation) {
  allocations_[uid] = allocation;
  used_[allocation.address] = uid;
  resting_.erase(allocation.address);
}

void AddressPool::release(const std::string& uid, Time now) {
  const auto found = allocations_.find(uid);
  if (found == allocations_.end()) return;
  for (auto it = resting_.begin(); it != resting_.end();) {
    it = is_free(it->first, now) ? resting_.erase(it) : std::next(it);
  }
  resting_[found->second.address] = now;
  used_.erase(found->second.address);
  allocations_.erase(found);
}

std::string AddressPool::text() const {
  std::string out(kHeader);
  out += "\nnext " + format(next_) + '\n';
  for (const auto& [uid, allocation] : allocations_) {
    out += "pod " + uid + ' ' + format(allocation.address) + ' ' + allocation.link + '\n';
  }
  for (const auto& [address, since] : resting_) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(since).time_since_epoch();
    out += "rest " + format(address) + ' ' + std::to_string(seconds.count()) + '\n';
  }
  return out;
}

Result<AddressPool> AddressPool::parse(std::string_view text, Ipv4Prefix prefix,
                                       std::string link_prefix) {
  AddressPool pool(prefix, std::move(link_prefix));
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHeader) return corrupt(1, "not an address file");
  for (int number = 2; std::getline(lines, line); ++number) {
    const auto words = split_words(line);
    const auto address =
        words.size() < 2 ? std::nullopt
                         : parse_ipv4(words[0] == "pod" && words.size() == 4 ? words[2] : words[1]);
    std::int64_t seconds = 0;
    if (!address) return corrupt(number, "no address");
    if (words[0] == "next" && words.size() == 2) {
      pool.next_ = *address;
    } else if (words[0] == "pod" && words.size() == 4 && is_pod_uid(words[1])) {
      if (pool.used_.count(*address) != 0) return corrupt(number, "an address was given twice");
      pool.adopt(words[1], {*address, words[3]});
    } else if (words[0] == "rest" && words.size() == 3 && read_seconds(words[2], seconds)) {
      pool.resting_[*address] = Time(std::chrono::seconds(seconds));
    } else {
      return corrupt(number, "unknown row");
    }
  }
  return pool;
}

}  // namespace moored::net
