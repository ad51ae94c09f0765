// The parts of a running daemon, in the order in which they are made.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>

#include "reconciler/daemon/identity.hpp"
#include "reconciler/loop/inbox.hpp"

namespace moored {

class Agent;
class GitFollower;
class Loop;
class Reports;
class Store;
class ThreadExecutor;
class WorkerReader;
namespace container {
class ShimSandbox;
}
namespace image {
class ContentStore;
class ImageKeeper;
class PullingStore;
}
namespace watch {
class KernelWatch;
class LayerWatch;
}
namespace net {
class RoutedVethNetwork;
class ServiceProxy;
}

// Owned by the daemon, lent to the verbs. Members are destroyed in reverse: readers before what
// they read.
struct Parts {
  Parts();
  ~Parts();

  Configuration configuration;
  SystemClock clock;
  SystemRandom random;
  StateIdentity identity;
  AddressRanges ranges;
  UniqueFd api_listener;  // until the API takes it
  int api_port = 0;
  const pthread_t main_thread = pthread_self();  // made on it; SIGUSR1 ends its wait
  std::atomic<bool> store_damaged{false};        // the database is to be set aside: start anew
  std::unique_ptr<Store> store;
  Inbox inbox;
  std::unique_ptr<Reports> reports;
  std::unique_ptr<net::RoutedVethNetwork> network;
  std::unique_ptr<container::ShimSandbox> sandbox;
  std::unique_ptr<watch::KernelWatch> watch;
  std::unique_ptr<image::ContentStore> images;
  std::unique_ptr<image::PullingStore> pulls;
  std::unique_ptr<image::ImageKeeper> keeper;
  std::unique_ptr<ThreadExecutor> executor;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<watch::LayerWatch> layers;  // absent: drift is not looked for
  std::unique_ptr<net::ServiceProxy> proxy;
  std::unique_ptr<WorkerReader> reader;
  std::unique_ptr<GitFollower> follower;
  std::unique_ptr<Loop> loop;
};

// Makes everything that does not listen or run a thread yet. Errors: as Daemon::create.
Result<std::unique_ptr<Parts>> make_parts(const Configuration& configuration);

}  // namespace moored
