#include "runtime/image/pulling_store.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "runtime/image/credentials.hpp"
#include "runtime/image/image_fetch.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"
#include "schema/host/sha256.hpp"

namespace moored::image {
namespace {

constexpr std::size_t kMaxCredentialBytes = 1U << 20U;
constexpr std::size_t kMaxCertificateBytes = 1U << 20U;

// One image being fetched, and who waits for it.
struct Pull {
  ImageName name;
  std::vector<std::string> credentials;
  std::set<std::string> references;  // as they were asked for
  std::map<std::string, MonoTime> requesters;
};

// What came of a pull, for one requester.
struct Answer {
  std::optional<ImageReport> image;
  std::optional<Error> error;
  Duration took{}, waited{};
};

// The same name with other credentials is another pull: one may be refused where the other is not.
std::string make_key(const ImageName& name, const std::vector<std::string>& credentials) {
  std::string all = name.text() + '@' + name.digest;
  for (const auto& text : credentials) all += '\n' + sha256_hex(text);
  return all;
}

// What the record of the image is to be called.
std::string record_name(const ImageName& name) {
  return name.digest.empty() ? name.text() : name.repository + '@' + name.digest;
}

// One sentence for the status of a container: what was pulled, why not, and what to do.
Error explain(const ImageName& name, const Error& cause) {
  Error out{cause.code, "failed to pull image \"" + record_name(name) + "\": ", "ErrImagePull", {},
            cause.fix};
  if (!cause.reason.empty()) out.message += cause.reason + ": ";
  out.message += cause.message;
  if (!cause.fix.empty()) out.message += " (" + cause.fix + ")";
  return out;
}

// A refusal of the content; trying the next mirror or the same again changes nothing here.
bool is_refusal(const Error& error) {
  return error.code == Code::invalid || error.code == Code::corrupt ||
         error.code == Code::exhausted;
}

}  // namespace

class PullingStore::State {
 public:
  State(PullingStoreOptions given, ContentStore& content,
        std::unique_ptr<RegistryConnector> connections, const Clock& time)
      : options(std::move(given)), store(content), connector(std::move(connections)), clock(time) {}

  std::optional<Answer> take_answer(const ImageRequest& request, const ImageName& name);
  Status enqueue(const ImageRequest& request, const ImageName& name);
  void serve();
  void carry_out(const std::string& key);
  Result<ImageReport> pull(const Pull& wanted);
  Result<FetchedImage> fetch(const Pull& wanted, ContentStore::Lease& lease);
  Result<std::vector<Credential>> read_credentials(const Pull& wanted) const;
  void settle(const std::string& key, const Result<ImageReport>& result, MonoTime began);

  PullingStoreOptions options;
  ContentStore& store;
  std::unique_ptr<RegistryConnector> connector;
  const Clock& clock;
  BlobGate gate;
  std::function<void(const std::string&)> listener;

  std::mutex mutex;  // of everything below
  std::condition_variable filled;
  bool stopping = false;
  std::map<std::string, Pull> pulls;  // by key
  std::deque<std::string> queue;      // keys that no thread has taken yet
  // Whose answer, and of which pull: a requester may have asked for another image since.
  using AnswerKey = std::pair<std::string, std::string>;
  std::map<AnswerKey, Answer> answers;
  std::deque<AnswerKey> answer_order;  // of those in answers, oldest first
  std::vector<std::thread> threads;
};

// ---- what containers ask ----

// The caller holds the lock.
std::optional<Answer> PullingStore::State::take_answer(const ImageRequest& request,
                                                       const ImageName& name) {
  const AnswerKey key{request.requester, make_key(name, request.credentials)};
  const auto ready = answers.find(key);
  if (ready == answers.end()) return std::nullopt;
  Answer answer = std::move(ready->second);
  answers.erase(ready);
  answer_order.erase(std::find(answer_order.begin(), answer_order.end(), key));
  return answer;
}

// Joins a pull of the same image or starts one. The caller holds the lock.
Status PullingStore::State::enqueue(const ImageRequest& request, const ImageName& name) {
  const auto key = make_key(name, request.credentials);
  const auto known = pulls.find(key);
  if (known == pulls.end() && pulls.size() >= kMaxPulls) {
    return fail(Code::exhausted, "more than 1000 images wait to be pulled");
  }
  auto& pull = pulls[key];
  if (known == pulls.end()) {
    pull.name = name;
    pull.credentials = request.credentials;
    queue.push_back(key);
    filled.notify_one();
  }
  pull.references.insert(request.reference);
  pull.requesters.emplace(request.requester, clock.now().mono);
  return {};
}

Result<ObtainedImage> PullingStore::obtain(const ImageRequest& request) {
  auto& s = *state_;
  MOORED_TRY(const auto name, parse_image_name(request.reference));
  std::unique_lock lock(s.mutex);
  if (const auto answer = s.take_answer(request, name)) {
    if (answer->error) return Unexpected(*answer->error);
    return ObtainedImage{*answer->image, true, answer->took, answer->waited};
  }
  lock.unlock();
  if (request.policy != "Always") {
    auto present = s.store.find(request.reference);
    if (present) {
      s.store.touch(*present);
      return ObtainedImage{*std::move(present), false, {}, {}};
    }
    if (present.error().code != Code::not_found || request.policy == "Never") {
      return Unexpected(std::move(present).error());
    }
  }
  lock.lock();
  MOORED_CHECK(s.enqueue(request, name));
  return Unexpected(Error{Code::unavailable, "the image " + name.text() + " is being pulled",
                          kPullingReason, {}, {}});
}

Result<ImageReport> PullingStore::find(const std::string& reference) {
  return state_->store.find(reference);
}

Result<std::vector<ImageReport>> PullingStore::list() { return state_->store.list(); }

void PullingStore::on_settled(std::function<void(const std::string&)> listener) {
  state_->listener = std::move(listener);
}

// ---- threads ----

// The life of one thread: a pull after the other.
void PullingStore::State::serve() {
  std::unique_lock lock(mutex);
  for (;;) {
    filled.wait(lock, [&] { return stopping || !queue.empty(); });
    if (stopping) return;
    const auto key = queue.front();
    queue.pop_front();
    lock.unlock();
    carry_out(key);
    lock.lock();
  }
}

void PullingStore::State::carry_out(const std::string& key) {
  Pull wanted;
  {
    const std::lock_guard lock(mutex);
    wanted = pulls[key];
  }
  const auto began = clock.now().mono;
  const auto result = pull(wanted);
  if (!result) {
    log(LogLevel::warning, "an image was not pulled",
        {{"image", record_name(wanted.name)}, {"error", result.error().text()}});
  }
  settle(key, result, began);
}

// Whoever joined while the pull was under way gets the same answer.
void PullingStore::State::settle(const std::string& key, const Result<ImageReport>& result,
                                 MonoTime began) {
  std::set<std::string> references;
  {
    const std::lock_guard lock(mutex);
    const auto found = pulls.find(key);
    const auto now = clock.now().mono;
    for (const auto& [requester, since] : found->second.requesters) {
      Answer answer;
      if (result) answer.image = *result;
      if (!result) answer.error = result.error();
      answer.took = now - began;
      answer.waited = now - since;
      const AnswerKey whose{requester, key};
      // An answer that nobody took gives way to the newer one, in its place.
      if (answers.insert_or_assign(whose, std::move(answer)).second) answer_order.push_back(whose);
    }
    if (!stopping) references = std::move(found->second.references);
    pulls.erase(found);
    while (answer_order.size() > kMaxAnswers) {
      answers.erase(answer_order.front());
      answer_order.pop_front();
    }
  }
  if (!listener) return;
  for (const auto& reference : references) listener(reference);
}

// ---- one pull ----

// Read anew for each pull, so that a changed password needs no restart.
Result<std::vector<Credential>> PullingStore::State::read_credentials(const Pull& wanted) const {
  std::vector<Credential> all;
  const auto add = [&](std::string_view text) -> Status {
    MOORED_TRY(const auto some, parse_credentials(text));
    all.insert(all.end(), some.begin(), some.end());
    return {};
  };
  for (const auto& text : wanted.credentials) {
    const auto added = add(text);
    // One bad Secret does not keep the others from being tried.
    if (added) continue;
    log(LogLevel::warning, "an image pull secret is of no use: " + added.error().text());
  }
  if (!options.registries.credentials_file.empty()) {
    MOORED_TRY(const auto text, read_file(options.registries.credentials_file,
                                          kMaxCredentialBytes));
    MOORED_CHECK(add(text));
  }
  return all;
}

// Mirrors first; the error that counts is the registry's own.
Result<FetchedImage> PullingStore::State::fetch(const Pull& wanted, ContentStore::Lease& lease) {
  MOORED_TRY(const auto credentials, read_credentials(wanted));
  const auto setting = find_setting(options.registries, wanted.name);
  std::string certificates;
  if (!setting.ca_file.empty()) {
    MOORED_TRY(certificates, read_file(setting.ca_file, kMaxCertificateBytes));
  }
  MOORED_TRY(const auto accesses,
             plan_accesses(wanted.name, options.registries, credentials, certificates));
  std::optional<Error> last;
  for (const auto& access : accesses) {
    auto link = connector->connect(access);
    if (!link) return Unexpected(std::move(link).error());
    auto fetched = fetch_image(wanted.name, {store.blobs(), gate, lease, **link,
                                             options.image_bytes});
    if (fetched) return fetched;
    last = std::move(fetched).error();
    if (&access == &accesses.back()) break;
    log(LogLevel::warning, "a mirror is passed over",
        {{"mirror", access.base}, {"error", last->text()}});
  }
  return Unexpected(*std::move(last));
}

Result<ImageReport> PullingStore::State::pull(const Pull& wanted) {
  auto lease = store.lease();
  const auto done = [&]() -> Result<ImageReport> {
    MOORED_TRY(const auto fetched, fetch(wanted, *lease));
    return store.adopt(record_name(wanted.name), fetched.manifest_digest);
  }();
  if (done) return done;
  lease.reset();
  // What arrived whole before the network failed is of use to the next try.
  if (is_refusal(done.error())) {
    const auto swept = store.sweep();
    if (!swept) log(LogLevel::warning, "blobs stay: " + swept.error().text());
  }
  return Unexpected(explain(wanted.name, done.error()));
}

PullingStore::PullingStore(PullingStoreOptions options, ContentStore& store,
                           std::unique_ptr<RegistryConnector> connector, const Clock& clock)
    : state_(std::make_unique<State>(std::move(options), store, std::move(connector), clock)) {
  for (std::size_t i = 0; i < state_->options.parallel; ++i) {
    state_->threads.emplace_back([s = state_.get()] { s->serve(); });
  }
}

PullingStore::~PullingStore() { stop(); }

void PullingStore::stop() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->connector->stop();
  state_->filled.notify_all();
  for (auto& thread : state_->threads) thread.join();
  state_->threads.clear();
}

}  // namespace moored::image
