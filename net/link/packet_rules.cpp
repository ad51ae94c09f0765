#include "net/link/packet_rules.hpp"

#include <linux/netlink.h>

#include <map>
#include <sstream>

#include "net/link/namespaces.hpp"
#include "net/link/rule_events.hpp"
#include "schema/base/guarded.hpp"
#include "schema/host/spawn.hpp"

namespace moored::net {
namespace {

// 5,000 Services load in 3 s on a slow machine; ten times that is a fault.
constexpr std::chrono::seconds kTimeout{30};
// A listing of 5,000 Services is about 4 MB.
constexpr std::size_t kListingBytes = 32U << 20U;

// The first line of what nft complained about, without its drawing of the place.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

class NftProgram final : public PacketRules {
 public:
  explicit NftProgram(std::string program) : program_(std::move(program)) {}

  Status apply(const std::string& script) override {
    if (script.empty()) return {};
    MOORED_TRY(const auto output, run({"-f", "-"}, script));
    return {};
  }

  Result<std::string> read_table(const std::string& table) override {
    MOORED_TRY(auto tables, read_tables());
    for (const auto& name : tables) {
      if (name == table) return run({"-s", "list", "table", "ip", table}, {});
    }
    return fail(Code::not_found, "table ip " + table + " does not exist");
  }

  Result<std::string> read_wanted(const std::string& script, const std::string& table) override {
    std::string listing;
    const auto load_and_list = [&]() -> Status {
      MOORED_CHECK(apply(script));
      MOORED_TRY(listing, read_table(table));
      return {};
    };
    MOORED_CHECK(run_in_empty_namespace(load_and_list));
    return listing;
  }

  Result<std::vector<std::string>> read_tables() override {
    MOORED_TRY(const auto listing, run({"list", "tables", "ip"}, {}));
    std::vector<std::string> names;
    std::istringstream words(listing);
    std::string table, family, name;
    while (words >> table >> family >> name)
      names.push_back(name);
    return names;
  }

 private:
  Result<std::string> run(std::vector<std::string> arguments, const std::string& input) {
    SpawnRequest request;
    request.program = program_;
    request.arguments = std::move(arguments);
    request.arguments.insert(request.arguments.begin(), "nft");
    request.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
    auto output = run_command(request, input, kTimeout, kListingBytes);
    if (!output) return Unexpected(std::move(output).error().context("packet rules"));
    if (output->status.code == 0) return std::move(output->out);
    return Unexpected(Error{output->status.code ? Code::invalid : Code::unavailable,
                            "nft: " + first_line(output->err),
                            "RulesRefused",
                            {},
                            {}});
  }

  std::string program_;
};

class RememberingRules final : public PacketRules {
 public:
  RememberingRules(std::unique_ptr<PacketRules> rules, MnlPort port)
      : rules_(std::move(rules)), memory_(Memory{std::move(port), 0, {}}) {}

  Status apply(const std::string& script) override { return rules_->apply(script); }

  Result<std::string> read_table(const std::string& table) override {
    return memory_.with([&](Memory& in) { return read_table(in, table); });
  }

  Result<std::string> read_wanted(const std::string& script, const std::string& table) override {
    return rules_->read_wanted(script, table);
  }

  Result<std::vector<std::string>> read_tables() override { return rules_->read_tables(); }

 private:
  struct Memory {
    MnlPort port;
    std::uint32_t generation;
    std::map<std::string, Result<std::string>> listings;  // all of this generation
  };

  Result<std::string> read_table(Memory& in, const std::string& table) {
    MOORED_TRY(const auto before, read_rule_generation(in.port));
    if (before != in.generation) in.listings.clear();
    in.generation = before;
    if (const auto known = in.listings.find(table); known != in.listings.end()) {
      return known->second;
    }
    auto listing = rules_->read_table(table);
    if (!listing && listing.error().code != Code::not_found) return listing;
    // What was listed while somebody changed rules is of no generation. (A few properties of chains
    // follow their number, by less than nft takes to start.)
    MOORED_TRY(const auto after, read_rule_generation(in.port));
    if (after == before) in.listings.emplace(table, listing);
    return listing;
  }

  std::unique_ptr<PacketRules> rules_;
  Guarded<Memory> memory_;
};

}  // namespace

std::unique_ptr<PacketRules> make_packet_rules(std::string program) {
  return std::make_unique<NftProgram>(std::move(program));
}

Result<std::unique_ptr<PacketRules>> make_remembering_packet_rules(std::string program) {
  MOORED_TRY(auto port, MnlPort::open(NETLINK_NETFILTER));
  return std::unique_ptr<PacketRules>(std::make_unique<RememberingRules>(
      make_packet_rules(std::move(program)), std::move(port)));
}

}  // namespace moored::net
