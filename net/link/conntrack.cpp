#include "net/link/conntrack.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <array>
#include <vector>

#include "net/link/mnl_port.hpp"

namespace moored::net {
namespace {

// One direction of a flow as the kernel tracks it.
struct Tuple {
  Ipv4 source;
  Ipv4 destination;
  std::uint8_t protocol = 0;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
};

Ipv4 read_ipv4(const nlattr* attribute) {
  return {ntohl(mnl_attr_get_u32(attribute))};
}
std::uint16_t read_port(const nlattr* attribute) {
  return ntohs(mnl_attr_get_u16(attribute));
}

Tuple parse_tuple(const nlattr* parent) {
  Tuple tuple;
  each_nested(parent, [&](std::uint16_t part, const nlattr* nested) {
    each_nested(nested, [&](std::uint16_t type, const nlattr* value) {
      if (part == CTA_TUPLE_IP && type == CTA_IP_V4_SRC) tuple.source = read_ipv4(value);
      if (part == CTA_TUPLE_IP && type == CTA_IP_V4_DST) tuple.destination = read_ipv4(value);
      if (part != CTA_TUPLE_PROTO) return;
      if (type == CTA_PROTO_NUM) tuple.protocol = mnl_attr_get_u8(value);
      if (type == CTA_PROTO_SRC_PORT) tuple.source_port = read_port(value);
      if (type == CTA_PROTO_DST_PORT) tuple.destination_port = read_port(value);
    });
  });
  return tuple;
}

// The source of the reply direction is who really answers: behind a Service, the endpoint.
Flow parse_flow(const nlmsghdr* message) {
  Flow flow;
  each_attribute(message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
    if (type == CTA_TUPLE_ORIG) {
      const auto tuple = parse_tuple(attribute);
      flow.protocol = tuple.protocol;
      flow.source = tuple.source;
      flow.destination = tuple.destination;
      flow.source_port = tuple.source_port;
      flow.destination_port = tuple.destination_port;
    } else if (type == CTA_TUPLE_REPLY) {
      const auto tuple = parse_tuple(attribute);
      flow.answerer = tuple.source;
      flow.answerer_port = tuple.source_port;
    }
  });
  return flow;
}

// Messages of netfilter carry their subsystem in the upper byte of the type.
nlmsghdr* start_request(void* buffer, int type, unsigned flags) {
  nlmsghdr* header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  auto* body = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  body->nfgen_family = AF_INET;
  body->version = NFNETLINK_V0;
  return header;
}

// The original direction alone identifies a flow to the kernel.
void put_tuple(nlmsghdr* header, const Flow& flow) {
  nlattr* tuple = mnl_attr_nest_start(header, CTA_TUPLE_ORIG);
  nlattr* address = mnl_attr_nest_start(header, CTA_TUPLE_IP);
  mnl_attr_put_u32(header, CTA_IP_V4_SRC, htonl(flow.source.value));
  mnl_attr_put_u32(header, CTA_IP_V4_DST, htonl(flow.destination.value));
  mnl_attr_nest_end(header, address);
  nlattr* protocol = mnl_attr_nest_start(header, CTA_TUPLE_PROTO);
  mnl_attr_put_u8(header, CTA_PROTO_NUM, flow.protocol);
  mnl_attr_put_u16(header, CTA_PROTO_SRC_PORT, htons(flow.source_port));
  mnl_attr_put_u16(header, CTA_PROTO_DST_PORT, htons(flow.destination_port));
  mnl_attr_nest_end(header, protocol);
  mnl_attr_nest_end(header, tuple);
}

// Only flows with ports can be named by their tuple (ICMP carries other fields).
bool has_ports(const Flow& flow) {
  return flow.protocol == IPPROTO_TCP || flow.protocol == IPPROTO_UDP;
}

}  // namespace

Result<std::size_t> KernelFlowTable::forget(const std::function<bool(const Flow&)>& which) {
  MOORED_TRY(auto port, MnlPort::open(NETLINK_NETFILTER));
  alignas(nlmsghdr) std::array<char, 512> buffer{};
  std::vector<Flow> chosen;
  const auto take = [&](const nlmsghdr* message) {
    const auto flow = parse_flow(message);
    if (has_ports(flow) && which(flow)) chosen.push_back(flow);
  };
  // A dump that the table changed under may show a flow twice; that does no harm here.
  auto* dump = start_request(buffer.data(), IPCTNL_MSG_CT_GET, NLM_F_DUMP);
  const auto status = port.talk(dump, "read tracked flows", take);
  if (!status && status.error().code != Code::unavailable) return Unexpected(status.error());
  std::size_t forgotten = 0;
  for (const auto& flow : chosen) {
    auto* request = start_request(buffer.data(), IPCTNL_MSG_CT_DELETE, 0);
    put_tuple(request, flow);
    const auto deleted = port.talk(request, "forget a flow");
    if (!deleted && deleted.error().code != Code::not_found) return Unexpected(deleted.error());
    if (deleted) ++forgotten;
  }
  return forgotten;
}

}  // namespace moored::net
