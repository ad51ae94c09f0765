#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "net/link/namespaces.hpp"
#include "net/link/packet_rules.hpp"
#include "net/link/route_socket.hpp"
#include "net/pod/address_pool.hpp"
#include "net/pod/node_rules.hpp"
#include "net/proxy/rules.hpp"
#include "schema/host/file.hpp"
#include "tests/invariants/readings.hpp"

namespace moored::invariants {
namespace {

// Deep enough for every directory that is searched for temporary files.
constexpr int kMaxDepth = 12;
constexpr std::size_t kUidLength = 36;

bool below(const std::string& path, const std::string& directory) {
  return path == directory || path.rfind(directory + '/', 0) == 0;
}

std::vector<std::string> names_in(const std::string& directory) {
  return list_directory(directory).value_or({});
}

// The uid that a path carries in one of its parts, as "pod<uid>" or "<uid>".
std::string uid_in(const std::string& path) {
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '/');) {
    if (part.rfind("pod", 0) == 0) part.erase(0, 3);
    const bool dashes = part.size() == kUidLength && part[8] == '-' && part[13] == '-';
    if (dashes) return part;
  }
  return {};
}

struct MountRow {
  std::string place;
  std::string type;
};

std::vector<MountRow> read_mounts() {
  std::vector<MountRow> out;
  const auto text = read_file("/proc/self/mountinfo").value_or("");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string skip, place, type;
    words >> skip >> skip >> skip >> skip >> place;
    const auto dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream rest(line.substr(dash + 3));
    rest >> type;
    out.push_back({place, type});
  }
  return out;
}

std::vector<std::string> cgroup_roots(const Places& places) {
  std::vector<std::string> out;
  for (const auto& row : read_mounts()) {
    if (row.type != "cgroup" && row.type != "cgroup2") continue;
    const auto root = row.place + places.cgroup_root;
    if (path_exists(root)) out.push_back(root);
  }
  return out;
}

// Groups of pods in one hierarchy: pods/pod<uid>, pods/burstable/pod<uid>, pods/besteffort/….
void read_groups(const std::string& root, Machine& machine) {
  for (const char* level : {"/pods", "/pods/burstable", "/pods/besteffort"}) {
    for (const auto& name : names_in(root + level)) {
      if (name.rfind("pod", 0) != 0 || uid_in(name).empty()) continue;
      machine.pod_places["cgroup " + root + level + '/' + name] = uid_in(name);
    }
  }
}

std::string read_command(const std::string& pid) {
  auto text = read_file("/proc/" + pid + "/cmdline", 1U << 20U).value_or("");
  std::replace(text.begin(), text.end(), '\0', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

void read_processes(const Places& places, Machine& machine) {
  for (const auto& name : names_in("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    FoundProcess process;
    process.pid = std::stoi(name);
    process.command = read_command(name);
    const auto shim_of = "moored-shim " + places.run_dir + "/pods/";
    process.shim = process.command.rfind(shim_of, 0) == 0;
    if (process.shim) {
      // Behind the pod's directory come the groups that its processes enter by themselves.
      const std::string rest = process.command.substr(shim_of.size());
      process.pod_uid = uid_in(rest.substr(0, rest.find(' ')));
    } else {
      const auto groups = read_file("/proc/" + name + "/cgroup", 64U << 10U).value_or("");
      if (groups.find(':' + places.cgroup_root + "/pods/") == std::string::npos) continue;
      process.pod_uid = uid_in(groups.substr(groups.find(places.cgroup_root + "/pods/")));
    }
    machine.processes.push_back(std::move(process));
  }
}

void read_own_mounts(const Places& places, Machine& machine) {
  std::map<std::string, int> count;
  for (const auto& row : read_mounts()) {
    if (!below(row.place, places.run_dir) && !below(row.place, places.state_dir)) continue;
    ++count[row.place];
    machine.mounts[row.place] = uid_in(row.place);
  }
  for (const auto& [place, times] : count) {
    if (times > 1) machine.doubled_mounts.push_back(place);
  }
}

void read_directories(const Places& places, Machine& machine) {
  for (const auto& uid : names_in(places.run_dir + "/pods")) {
    machine.sandboxes.insert(uid);
  }
  for (const auto& directory : {places.run_dir + "/pods", places.run_dir + "/volumes",
                                places.state_dir + "/pods", places.state_dir + "/containers"}) {
    for (const auto& uid : names_in(directory)) {
      machine.pod_places["directory " + directory + '/' + uid] = uid;
    }
  }
}

// Half-written files: .name.tmp beside their target, and what an import or unpack left.
void read_temporary(const std::string& directory, int depth, std::vector<std::string>& out) {
  if (depth > kMaxDepth) return;
  for (const auto& name : names_in(directory)) {
    const auto path = directory + '/' + name;
    struct stat state {};
    if (lstat(path.c_str(), &state) < 0) continue;
    const bool half = name.size() > 5 && name.front() == '.' &&
                      name.compare(name.size() - 4, 4, ".tmp") == 0;
    if (S_ISREG(state.st_mode) && half) out.push_back(path);
    // Contents of images, containers and volumes are not ours to judge.
    const bool foreign = name == "diff" || name == "volumes" || name == "containers" || name == "l";
    if (S_ISDIR(state.st_mode) && !foreign) read_temporary(path, depth + 1, out);
  }
}

void read_images(const Places& places, Machine& machine) {
  const auto images = places.state_dir + "/images";
  for (const auto& name : names_in(images + "/ingest")) {
    machine.temporary_files.push_back(images + "/ingest/" + name);
  }
  for (const auto& name : names_in(images + "/layers")) {
    if (name.front() == '.') machine.temporary_files.push_back(images + "/layers/" + name);
  }
  for (const auto& name : names_in(images + "/l")) {
    struct stat state {};
    const auto path = images + "/l/" + name;
    if (stat(path.c_str(), &state) < 0) machine.dangling_links.push_back(path);
  }
}

Status read_allocations(const Places& places, Machine& machine) {
  const auto text = read_file(places.state_dir + "/network/addresses");
  if (!text) return {};  // no pod ever had an address
  MOORED_TRY(const auto pool,
             net::AddressPool::parse(*text, net::Ipv4Prefix{}, net::link_prefix(places.instance)));
  for (const auto& [uid, allocation] : pool.allocations()) {
    machine.allocations[uid] = {net::format(allocation.address), allocation.link};
  }
  return {};
}

Status read_network(const Places& places, Machine& machine) {
  MOORED_TRY(auto socket, net::RouteSocket::open());
  MOORED_TRY(const auto links, socket.read_links());
  std::map<int, std::string> own;
  for (const auto& link : links) {
    if (link.name.rfind(net::link_prefix(places.instance), 0) != 0) continue;
    own[link.index] = link.name;
    machine.links.insert(link.name);
  }
  MOORED_TRY(const auto routes, socket.read_routes());
  for (const auto& route : routes) {
    if (own.count(route.index) == 0) continue;
    machine.link_routes[net::format(route.destination.address)] = own[route.index];
  }
  for (const auto& uid : names_in(places.run_dir + "/net")) {
    if (net::open_namespace(places.run_dir + "/net/" + uid)) machine.pins.insert(uid);
  }
  return {};
}

Status read_rules(const Places& places, Machine& machine) {
  const auto rules = net::make_packet_rules();
  MOORED_TRY(const auto tables, rules->read_tables());
  const auto has = [&](const std::string& name) {
    return std::find(tables.begin(), tables.end(), name) != tables.end();
  };
  machine.node_rules = has(net::pod_table(places.instance));
  if (has(std::string(net::kSharedTable))) {
    MOORED_TRY(const auto shared, rules->read_table(std::string(net::kSharedTable)));
    machine.claimed = net::parse_shared(shared).claims.count(places.instance) != 0;
  }
  const auto services = net::service_table_name(places.instance);
  if (!has(services)) return {};
  MOORED_TRY(const auto listing, rules->read_table(services));
  machine.rule_blocks = net::split_listing(listing);
  return {};
}

}  // namespace

Result<Machine> read_machine(const Places& places) {
  Machine machine;
  for (const auto& root : cgroup_roots(places)) read_groups(root, machine);
  read_processes(places, machine);
  read_own_mounts(places, machine);
  read_directories(places, machine);
  read_temporary(places.state_dir, 0, machine.temporary_files);
  read_images(places, machine);
  MOORED_CHECK(read_allocations(places, machine));
  MOORED_CHECK(read_network(places, machine));
  MOORED_CHECK(read_rules(places, machine));
  return machine;
}

Result<Leftovers> read_leftovers(const Places& places) {
  Leftovers left;
  MOORED_TRY(const auto machine, read_machine(places));
  for (const auto& root : cgroup_roots(places)) left.places.push_back("cgroup " + root);
  for (const auto& process : machine.processes) {
    left.places.push_back("process " + std::to_string(process.pid) + " (" + process.command + ')');
  }
  for (const auto& [place, uid] : machine.mounts) left.places.push_back("mount " + place);
  for (const auto& link : machine.links) left.places.push_back("link " + link);
  for (const auto& directory : {places.state_dir, places.run_dir}) {
    if (!directory.empty() && path_exists(directory)) {
      left.places.push_back("directory " + directory);
    }
  }
  if (machine.claimed) left.places.push_back("entry in the table " + std::string(net::kSharedTable));
  MOORED_TRY(const auto tables, net::make_packet_rules()->read_tables());
  for (const auto& table : tables) {
    const auto own = net::pod_table(places.instance);
    if (table == own || table == net::service_table_name(places.instance)) {
      left.places.push_back("table " + table);
    }
  }
  return left;
}

}  // namespace moored::invariants
