#include "runtime/agent/container_stop.hpp"

#include <algorithm>

namespace moored::agent {
namespace {

// The preStop hook, if one is declared.
const std::optional<LifecycleHandler>& get_pre_stop(const Container& container) {
  static const std::optional<LifecycleHandler> kNone;
  return container.lifecycle ? container.lifecycle->pre_stop : kNone;
}

// Runs the hook, or waits for it. True when it is over or was given up.
bool advance_pre_stop(const Container& container, ContainerMemory& memory, MonoTime now,
                      std::vector<Action>& actions, std::optional<MonoTime>& wake) {
  StopMemory& stop = *memory.stop;
  const auto& hook = get_pre_stop(container);
  const MonoTime deadline = stop.since + stop.grace;
  if (stop.pre_stop == HookStage::none) {
    const bool runs = hook && now < deadline;
    // Without time left the hook is skipped: killing must not wait for it.
    stop.pre_stop = runs ? HookStage::wanted : HookStage::done;
  }
  if (stop.pre_stop == HookStage::wanted) {
    stop.pre_stop = HookStage::running;
    if (hook->sleep) {
      stop.hook_due = std::min(now + std::chrono::seconds(hook->sleep->seconds), deadline);
    } else {
      Action action;
      action.type = Action::Type::pre_stop;
      action.container = container.name;
      action.attempt = memory.attempt;
      action.timeout = deadline - now;
      actions.push_back(action);
    }
  }
  if (stop.pre_stop == HookStage::running) {
    const MonoTime due = std::min(stop.hook_due.value_or(deadline), deadline);
    if (now >= due) {
      stop.pre_stop = HookStage::done;
    } else {
      wake_at(wake, due);
    }
  }
  return stop.pre_stop == HookStage::done;
}

Action make_action(Action::Type type, const Container& container, const ContainerMemory& memory) {
  Action action;
  action.type = type;
  action.container = container.name;
  action.attempt = memory.attempt;
  return action;
}

// The first signal, and again as long as none got through and there is time left.
void send_signal(const Container& container, ContainerMemory& memory, MonoTime now,
                 std::vector<Action>& actions) {
  actions.push_back(make_action(Action::Type::signal, container, memory));
  memory.stop->signalled_at = now;
  memory.stop->signal_again.reset();
  memory.killed_by_us = true;
}

}  // namespace

void wake_at(std::optional<MonoTime>& wake, MonoTime at) {
  wake = wake ? std::min(*wake, at) : at;
}

// A second stop can only shorten the time that is left, never give more of it.
std::optional<Note> begin_stop(ContainerMemory& memory, const std::string& name, MonoTime since,
                               Duration grace, const std::string& message) {
  if (memory.stop) {
    StopMemory& stop = *memory.stop;
    const MonoTime deadline = since + grace;
    if (deadline >= stop.since + stop.grace) return std::nullopt;
    stop.grace = std::max(deadline - stop.since, Duration{});
    if (stop.kill_due) stop.kill_due = std::min(*stop.kill_due, deadline);
    return std::nullopt;
  }
  StopMemory stop;
  stop.since = since;
  stop.grace = grace;
  stop.message = message;
  memory.stop = stop;
  return Note{false, "Killing", message, name};
}

void advance_stop(const Container& container, ContainerMemory& memory, MonoTime now,
                  std::vector<Action>& actions, std::optional<MonoTime>& wake) {
  if (!memory.stop || memory.stage != ContainerStage::running) return;
  StopMemory& stop = *memory.stop;
  if (!stop.kill_due) {
    if (!advance_pre_stop(container, memory, now, actions, wake)) return;
    const MonoTime deadline = stop.since + stop.grace;
    if (stop.grace <= Duration{}) {
      stop.kill_due = now;
    } else {
      send_signal(container, memory, now, actions);
      // The hook may have used the grace time up; the program still gets a moment to end by
      // itself.
      stop.kill_due = std::max(deadline, now + std::min(kMinimumGrace, stop.grace));
    }
  }
  if (now >= *stop.kill_due) {
    actions.push_back(make_action(Action::Type::kill, container, memory));
    stop.signal_again.reset();
    // A kill can fail to reach a process that is just being made; it is sent until all are
    // gone.
    stop.kill_due = now + kKillAgain;
    memory.killed_by_us = true;
  } else if (stop.signal_again && now >= *stop.signal_again) {
    send_signal(container, memory, now, actions);
  }
  if (stop.signal_again) wake_at(wake, *stop.signal_again);
  wake_at(wake, *stop.kill_due);
}

}  // namespace moored::agent
