// Addresses, prefixes and who has which of them.
#include <catch2/catch.hpp>
#include <set>

#include "net/link/address.hpp"
#include "net/pod/address_pool.hpp"

using namespace moored;
using namespace moored::net;

namespace {

const Ipv4Prefix kPrefix = *parse_prefix("10.209.0.0/28");

Time at(int seconds) {
  return Time(std::chrono::seconds(1'700'000'000 + seconds));
}

std::string allocate(AddressPool& pool, const std::string& uid, int seconds = 0) {
  const auto allocation = pool.allocate(uid, at(seconds));
  return allocation ? format(allocation->address) : allocation.error().reason;
}

}  // namespace

TEST_CASE("IPv4 addresses are read strictly", "[net]") {
  CHECK(parse_ipv4("10.209.0.1")->value == 0x0ad10001);
  CHECK(format(Ipv4{0xffffffff}) == "255.255.255.255");
  CHECK(format(*parse_ipv4("0.0.0.0")) == "0.0.0.0");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4",
                          "1..2.3", "a.b.c.d", "1.2.3.-4", "1.2.3.4/8", "99999999999.1.1.1"}) {
    INFO(bad);
    CHECK_FALSE(parse_ipv4(bad));
  }
}

TEST_CASE("prefixes have no host bits", "[net]") {
  CHECK(format(*parse_prefix("10.209.0.0/16")) == "10.209.0.0/16");
  CHECK(format(*parse_prefix("0.0.0.0/0")) == "0.0.0.0/0");
  CHECK(format(*parse_prefix("1.2.3.4/32")) == "1.2.3.4/32");
  for (const char* bad : {"10.209.0.1/16", "10.209.0.0", "10.209.0.0/33", "10.209.0.0/", "/16",
                          "10.209.0.0/016", "10.209.0.0/16 "}) {
    INFO(bad);
    CHECK_FALSE(parse_prefix(bad));
  }
}

TEST_CASE("prefixes contain and overlap", "[net]") {
  const auto prefix = *parse_prefix("10.209.0.0/16");
  CHECK(format(prefix.first()) == "10.209.0.0");
  CHECK(format(prefix.last()) == "10.209.255.255");
  CHECK(prefix.contains(*parse_ipv4("10.209.7.7")));
  CHECK_FALSE(prefix.contains(*parse_ipv4("10.210.0.0")));
  CHECK(prefix.overlaps(*parse_prefix("10.209.3.0/24")));
  CHECK(prefix.overlaps(*parse_prefix("10.0.0.0/8")));
  CHECK(prefix.overlaps(*parse_prefix("0.0.0.0/0")));
  CHECK_FALSE(prefix.overlaps(*parse_prefix("10.210.0.0/16")));
}

TEST_CASE("the lowest free address after a rotating pointer is given", "[net]") {
  AddressPool pool(kPrefix, "ma1b2c3");
  CHECK(format(pool.node_address()) == "10.209.0.1");
  CHECK(allocate(pool, "one") == "10.209.0.2");
  CHECK(allocate(pool, "two") == "10.209.0.3");
  CHECK(allocate(pool, "one") == "10.209.0.2");  // the same pod, the same address
  pool.release("one", at(0));
  CHECK(allocate(pool, "three", 120) == "10.209.0.4");  // rested, but the pointer goes on
}

TEST_CASE("an address rests for a minute", "[net]") {
  AddressPool pool(kPrefix, "ma1b2c3");
  for (int i = 0; i < 13; ++i) {
    CHECK(allocate(pool, "pod" + std::to_string(i)) == "10.209.0." + std::to_string(i + 2));
  }
  CHECK(allocate(pool, "more") == "AddressesExhausted");
  pool.release("pod5", at(100));
  CHECK(allocate(pool, "more", 100) == "AddressesExhausted");
  CHECK(allocate(pool, "more", 159) == "AddressesExhausted");
  CHECK(allocate(pool, "more", 160) == "10.209.0.7");
  // A clock that was set back by far does not keep addresses away.
  pool.release("pod6", at(100000));
  CHECK(allocate(pool, "again", 99999) == "AddressesExhausted");
  CHECK(allocate(pool, "again", 50) == "10.209.0.8");
}

TEST_CASE("links are named after the instance and never alike", "[net]") {
  AddressPool pool(kPrefix, "ma1b2c3");
  std::set<std::string> names;
  for (int i = 0; i < 13; ++i) {
    const auto allocation = pool.allocate("pod" + std::to_string(i), at(0));
    REQUIRE(allocation);
    CHECK(allocation->link.size() == 15);  // as long as the kernel allows
    CHECK(allocation->link.rfind("ma1b2c3", 0) == 0);
    names.insert(allocation->link);
  }
  CHECK(names.size() == 13);
  // Two pods whose digests begin alike.
  AddressPool clash(kPrefix, "ma1b2c3");
  const auto first = clash.allocate("one", at(0));
  REQUIRE(first);
  clash.release("one", at(0));
  clash.adopt("other", {*parse_ipv4("10.209.0.9"), first->link});
  CHECK(clash.allocate("one", at(0))->link != first->link);
}

TEST_CASE("the address file says everything and is read back", "[net]") {
  AddressPool pool(kPrefix, "ma1b2c3");
  allocate(pool, "one");
  allocate(pool, "two");
  allocate(pool, "three");
  pool.release("two", at(7));
  const auto text = pool.text();
  auto again = AddressPool::parse(text, kPrefix, "ma1b2c3");
  REQUIRE(again);
  CHECK(again->text() == text);
  CHECK(again->allocations() == pool.allocations());
  CHECK(allocate(*again, "four", 8) == "10.209.0.5");
  for (int i = 6; i <= 14; ++i) {
    CHECK(allocate(*again, "p" + std::to_string(i), 8) == "10.209.0." + std::to_string(i));
  }
  CHECK(allocate(*again, "late", 66) == "AddressesExhausted");
  CHECK(allocate(*again, "late", 67) == "10.209.0.3");
}

TEST_CASE("a damaged address file is refused with its line", "[net]") {
  const std::string header = "moored-addresses 1\n";
  const std::pair<std::string, const char*> rows[] = {
      {"", "line 1"},
      {"moored-addresses 2\n", "line 1"},
      {header + "next nowhere\n", "line 2"},
      {header + "next 10.209.0.2\npod one 10.209.0.300 m1\n", "line 3"},
      {header + "pod ../etc 10.209.0.3 m1\n", "line 2"},
      {header + "pod one 10.209.0.3\n", "line 2"},
      {header + "pod one 10.209.0.3 m1\npod two 10.209.0.3 m2\n", "line 3"},
      {header + "rest 10.209.0.3 soon\n", "line 2"},
      {header + "else 10.209.0.3\n", "line 2"},
  };
  for (const auto& [text, line] : rows) {
    INFO(text);
    const auto pool = AddressPool::parse(text, kPrefix, "ma1b2c3");
    REQUIRE_FALSE(pool);
    CHECK(pool.error().code == Code::corrupt);
    CHECK(pool.error().message.find(line) != std::string::npos);
  }
}

TEST_CASE("uids that could be paths are no uids", "[net]") {
  CHECK(is_pod_uid("3f2b8c1e-0d4a-4a6e-9f5b-1c2d3e4f5a6b"));
  for (const auto& bad : {std::string(), std::string(".."), std::string("a/b"), std::string("A"),
                          std::string("a b"), std::string("a\n"), std::string(64, 'a')}) {
    INFO(bad);
    CHECK_FALSE(is_pod_uid(bad));
  }
}
