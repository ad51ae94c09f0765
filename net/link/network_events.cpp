#include "net/link/network_events.hpp"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/link/mnl_port.hpp"
#include "schema/host/file.hpp"
#include "schema/host/unique_fd.hpp"

namespace moored::net {
namespace {

// Not neighbours: every answer to a broadcast would wake us. The sweep compares those.
constexpr unsigned kRouteGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
// The kernel's table of pids ends here; higher port numbers name no process.
constexpr std::uint32_t kMaxPid = 1U << 22U;

std::string name_actor(std::uint32_t pid) {
  const std::string number = "[" + std::to_string(pid) + "]";
  auto name = read_file("/proc/" + std::to_string(pid) + "/comm", 64);
  if (!name) return "a process that has ended " + number;
  if (!name->empty() && name->back() == '\n') name->pop_back();
  return *name + number;
}

// The first attribute of every message about rules is the name of their table.
std::string table_of(const nlmsghdr* message) {
  std::string table;
  each_attribute(message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NFTA_TABLE_NAME) table = mnl_attr_get_str(attribute);
  });
  return table;
}

bool is_rule_message(const nlmsghdr* message) {
  return message->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES;
}

bool is_generation(const nlmsghdr* message) {
  return message->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN);
}

// Who made the transaction that ends with this message.
std::string author_of(const nlmsghdr* message) {
  std::string name;
  std::uint32_t pid = 0;
  each_attribute(message, sizeof(nfgenmsg), [&](std::uint16_t type, const nlattr* attribute) {
    if (type == NFTA_GEN_PROC_PID) pid = ntohl(mnl_attr_get_u32(attribute));
    if (type == NFTA_GEN_PROC_NAME) name = mnl_attr_get_str(attribute);
  });
  return name.empty() ? std::string() : name + "[" + std::to_string(pid) + "]";
}

}  // namespace

struct NetworkEvents::State {
  State(MnlPort route, MnlPort rule, std::string name)
      : routes(std::move(route)), rules(std::move(rule)), table(std::move(name)) {}

  void take_routes(std::optional<std::string>& actor);
  void take_rules(std::optional<std::string>& actor);

  MnlPort routes;
  MnlPort rules;
  UniqueFd epoll;
  std::string table;
  bool touched = false;  // the transaction under way is about our table
};

// Programs that change networks use their pid as the number of their socket. Our own sockets have
// our pid or, as all further ones of a process, a number beyond all pids; the kernel has 0.
void NetworkEvents::State::take_routes(std::optional<std::string>& actor) {
  const auto complete = routes.drain([&](const nlmsghdr* message) {
    const auto port = message->nlmsg_pid;
    if (port == 0 || port > kMaxPid || port == static_cast<std::uint32_t>(::getpid())) return;
    actor = name_actor(port);
  });
  if (complete && !*complete && !actor) actor.emplace();
}

void NetworkEvents::State::take_rules(std::optional<std::string>& actor) {
  const auto complete = rules.drain([&](const nlmsghdr* message) {
    if (!is_rule_message(message)) return;
    if (!is_generation(message)) {
      touched = touched || table_of(message) == table;
    } else if (std::exchange(touched, false)) {
      actor = author_of(message);
    }
  });
  if (complete && !*complete && !actor) actor.emplace();
}

NetworkEvents::NetworkEvents(std::unique_ptr<State> state) : state_(std::move(state)) {}
NetworkEvents::NetworkEvents(NetworkEvents&&) noexcept = default;
NetworkEvents& NetworkEvents::operator=(NetworkEvents&&) noexcept = default;
NetworkEvents::~NetworkEvents() = default;

Result<NetworkEvents> NetworkEvents::open(std::string table) {
  MOORED_TRY(auto routes, MnlPort::open(NETLINK_ROUTE, kRouteGroups));
  MOORED_TRY(auto rules, MnlPort::open(NETLINK_NETFILTER, 1U << (NFNLGRP_NFTABLES - 1)));
  const int on = 1;
  if (::setsockopt(routes.descriptor(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on) !=
      0) {
    return Unexpected(system_error("hear the networks of pods", errno));
  }
  auto state = std::make_unique<State>(std::move(routes), std::move(rules), std::move(table));
  state->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!state->epoll) return Unexpected(system_error("make event queue", errno));
  for (const int fd : {state->routes.descriptor(), state->rules.descriptor()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(state->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      return Unexpected(system_error("watch network events", errno));
    }
  }
  return NetworkEvents(std::move(state));
}

int NetworkEvents::descriptor() const {
  return state_->epoll.get();
}

std::optional<std::string> NetworkEvents::take() {
  std::optional<std::string> actor;
  state_->take_routes(actor);
  state_->take_rules(actor);
  return actor;
}

}  // namespace moored::net
