// The parts of a running daemon, in the order in which they are made.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "gitsync/follow/follower.hpp"
#include "gitsync/follow/worker_reader.hpp"
#include "net/api/server.hpp"
#include "net/pod/routed_veth_network.hpp"
#include "net/proxy/service_proxy.hpp"
#include "reconciler/admin/server.hpp"
#include "reconciler/daemon/identity.hpp"
#include "reconciler/loop/loop.hpp"
#include "reconciler/loop/reports.hpp"
#include "reconciler/store/store.hpp"
#include "runtime/agent/agent.hpp"
#include "runtime/agent/executor.hpp"
#include "runtime/container/shim_sandbox.hpp"
#include "runtime/image/content_store.hpp"

namespace moored {

// Owned by the daemon, lent to the verbs. Members are destroyed in reverse: readers before what
// they read.
struct Parts {
  Configuration configuration;
  SystemClock clock;
  SystemRandom random;
  StateIdentity identity;
  AddressRanges ranges;
  std::unique_ptr<Store> store;
  Inbox inbox;
  std::unique_ptr<Reports> reports;
  std::unique_ptr<net::RoutedVethNetwork> network;
  std::unique_ptr<container::ShimSandbox> sandbox;
  std::unique_ptr<image::ContentStore> images;
  std::unique_ptr<ThreadExecutor> executor;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<net::ServiceProxy> proxy;
  std::unique_ptr<WorkerReader> reader;
  std::unique_ptr<GitFollower> follower;
  std::unique_ptr<Loop> loop;
};

// Makes everything that does not listen or run a thread yet. Errors: as Daemon::create.
Result<std::unique_ptr<Parts>> make_parts(const Configuration& configuration);

}  // namespace moored
