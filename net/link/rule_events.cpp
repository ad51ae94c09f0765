#include "net/link/rule_events.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <array>

#include "net/link/mnl_port.hpp"

namespace moored::net {
namespace {

// Subsystem and message share the type field of the netlink header.
constexpr int message_type(int type) {
  return (NFNL_SUBSYS_NFTABLES << 8) | type;
}

// The kernel numbers each commit of the rules and says which process made it.
RuleGeneration parse_generation(const nlmsghdr* message) {
  RuleGeneration out;
  std::string process;
  std::uint32_t pid = 0;
  each_attribute(message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NFTA_GEN_ID) out.id = ntohl(mnl_attr_get_u32(attribute));
    if (type == NFTA_GEN_PROC_PID) pid = ntohl(mnl_attr_get_u32(attribute));
    if (type == NFTA_GEN_PROC_NAME) process = mnl_attr_get_str(attribute);
  });
  if (!process.empty()) out.author = process + '[' + std::to_string(pid) + ']';
  return out;
}

class KernelRuleEvents final : public RuleEvents {
 public:
  KernelRuleEvents(MnlPort events, MnlPort requests)
      : events_(std::move(events)), requests_(std::move(requests)) {}

  int descriptor() const override { return events_.descriptor(); }

  Result<std::optional<RuleGeneration>> drain() override {
    std::optional<RuleGeneration> newest;
    MOORED_TRY(const bool complete, events_.drain([&](const nlmsghdr* message) {
      if (message->nlmsg_type == message_type(NFT_MSG_NEWGEN)) newest = parse_generation(message);
    }));
    if (complete) return newest;
    MOORED_TRY(newest, read());  // some messages were lost: something did change
    return newest;
  }

  // Of a request the kernel names its sender, not an author.
  Result<RuleGeneration> read() override {
    MOORED_TRY(const auto id, read_rule_generation(requests_));
    return RuleGeneration{id, {}};
  }

 private:
  MnlPort events_;
  MnlPort requests_;
};

}  // namespace

Result<std::uint32_t> read_rule_generation(MnlPort& port) {
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = static_cast<std::uint16_t>(message_type(NFT_MSG_GETGEN));
  header->nlmsg_flags = NLM_F_REQUEST;
  auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  body->nfgen_family = AF_UNSPEC;
  body->version = NFNETLINK_V0;
  std::uint32_t id = 0;
  MOORED_CHECK(port.talk(header, "read the generation of the packet rules",
                         [&](const nlmsghdr* m) { id = parse_generation(m).id; }));
  return id;
}

// Two sockets: answers to a request must not be lost among events, nor events among
// answers.
Result<std::unique_ptr<RuleEvents>> make_rule_events() {
  MOORED_TRY(auto events, MnlPort::open(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1)));
  MOORED_TRY(auto requests, MnlPort::open(NETLINK_NETFILTER));
  return std::unique_ptr<RuleEvents>(
      std::make_unique<KernelRuleEvents>(std::move(events), std::move(requests)));
}

}  // namespace moored::net
