#include "net/api/tls.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <utility>  // before Asio, which forgets it

#include <openssl/x509v3.h>
#include <boost/asio/ssl/context.hpp>

#include "schema/base/guarded.hpp"
#include "schema/base/log.hpp"
#include "schema/host/file.hpp"

namespace moored::net::api {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

constexpr std::size_t kMaxPem = 1U << 20U;
constexpr std::chrono::seconds kLookAgain{1};
// What a client may propose; others (HTTP/2) are not spoken here.
constexpr std::string_view kProtocol = "http/1.1";

Error broken(const std::string& file, std::string_view what, const error_code& error) {
  return Error{Code::invalid,
               file + " " + std::string(what) + ": " + error.message(),
               "ConfigInvalid",
               {file, 0, 0, {}},
               {}};
}

// A key that others can read is not one.
Status check_key_file(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return Unexpected(system_error(path, errno));
  const bool own = found.st_uid == ::geteuid() || found.st_uid == 0;
  if (own && (found.st_mode & 077U) == 0) return {};
  return Unexpected(Error{Code::denied,
                          path + " can be read by others",
                          "KeyExposed",
                          {path, 0, 0, {}},
                          "chown root " + path + " && chmod 600 " + path});
}

// A client that proposes protocols gets the one that is spoken, or none.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void*) {
  for (unsigned at = 0; at < in_size; at += 1U + in[at]) {
    const unsigned size = in[at];
    if (at + 1U + size > in_size) break;
    if (size != kProtocol.size() || std::memcmp(in + at + 1, kProtocol.data(), size) != 0) continue;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// TLS 1.2 and 1.3 only, with the library's own choice of ciphers; a connection that waits gives its
// buffers back.
void harden(ssl::context& context) {
  auto* native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(
      native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(native, &choose_protocol, nullptr);
}

std::string address_text(const ASN1_OCTET_STRING& address) {
  const auto* bytes = ASN1_STRING_get0_data(&address);
  const int size = ASN1_STRING_length(&address);
  std::array<char, 46> text{};
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (size != 4 && size != 16) return {};
  if (::inet_ntop(family, bytes, text.data(), text.size()) == nullptr) return {};
  return text.data();
}

// Names that the certificate gives as alternatives of its subject; the subject itself is not looked
// at, as clients do.
std::vector<std::string> read_names(X509* certificate) {
  std::vector<std::string> names;
  auto* all = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  if (all == nullptr) return names;
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const auto* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS) {
      const auto* text = ASN1_STRING_get0_data(name->d.dNSName);
      const auto size = static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName));
      names.emplace_back(reinterpret_cast<const char*>(text), size);
    } else if (name->type == GEN_IPADD) {
      auto text = address_text(*name->d.iPAddress);
      if (!text.empty()) names.push_back(std::move(text));
    }
  }
  GENERAL_NAMES_free(all);
  return names;
}

std::string to_pem(X509* certificate) {
  BIO* memory = BIO_new(BIO_s_mem());
  std::string text;
  if (memory != nullptr && PEM_write_bio_X509(memory, certificate) == 1) {
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(memory, &bytes);
    text.assign(bytes, static_cast<std::size_t>(size));
  }
  BIO_free(memory);
  return text;
}

class LoadedTls final : public Tls {
 public:
  Status load(const TlsFiles& files) {
    MOORED_CHECK(check_key_file(files.key));
    MOORED_TRY(const auto chain, read_file(files.certificate, kMaxPem));
    MOORED_TRY(const auto key, read_file(files.key, kMaxPem));
    error_code error;
    context_.use_certificate_chain(boost::asio::buffer(chain), error);
    if (error) return Unexpected(broken(files.certificate, "holds no certificate", error));
    context_.use_private_key(boost::asio::buffer(key), ssl::context::pem, error);
    if (error) {
      return Unexpected(broken(files.key, "holds no key of " + files.certificate, error));
    }
    harden(context_);
    auto* own = SSL_CTX_get0_certificate(context_.native_handle());
    names_ = read_names(own);
    certificate_ = to_pem(own);
    if (files.client_ca.empty()) return {};
    MOORED_TRY(const auto authority, read_file(files.client_ca, kMaxPem));
    context_.add_certificate_authority(boost::asio::buffer(authority), error);
    if (error) return Unexpected(broken(files.client_ca, "holds no certificate", error));
    // Without a certificate a client may still show a token.
    context_.set_verify_mode(ssl::verify_peer, error);
    SSL_CTX_set_client_CA_list(context_.native_handle(),
                               SSL_load_client_CA_file(files.client_ca.c_str()));
    return {};
  }

  void* context() const override { return &context_; }
  const std::vector<std::string>& names() const override { return names_; }
  const std::string& certificate() const override { return certificate_; }

 private:
  mutable ssl::context context_{ssl::context::tls_server};
  std::vector<std::string> names_;
  std::string certificate_;
};

// What changes when a file is written or replaced.
std::string mark_of(const TlsFiles& files) {
  std::string mark;
  for (const auto* path : {&files.certificate, &files.key, &files.client_ca}) {
    struct stat found {};
    if (path->empty() || ::stat(path->c_str(), &found) != 0) continue;
    mark += std::to_string(found.st_ino) + "." + std::to_string(found.st_size) + "." +
            std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec) +
            ";";
  }
  return mark;
}

}  // namespace

Result<std::shared_ptr<const Tls>> Tls::load(const TlsFiles& files) {
  auto loaded = std::make_shared<LoadedTls>();
  MOORED_CHECK(loaded->load(files));
  return std::shared_ptr<const Tls>(std::move(loaded));
}

struct TlsSource::State {
  struct Current {
    std::shared_ptr<const Tls> tls;
    std::string mark;
    std::chrono::steady_clock::time_point looked;
  };
  TlsFiles files;
  Guarded<Current> current;
};

TlsSource::TlsSource(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsSource::~TlsSource() = default;

Result<std::unique_ptr<TlsSource>> TlsSource::open(TlsFiles files) {
  auto state = std::make_unique<State>();
  const auto mark = mark_of(files);
  MOORED_TRY(auto tls, Tls::load(files));
  state->files = std::move(files);
  state->current.with([&](State::Current& current) {
    current = {std::move(tls), mark, std::chrono::steady_clock::now()};
  });
  return std::unique_ptr<TlsSource>(new TlsSource(std::move(state)));
}

std::shared_ptr<const Tls> TlsSource::get() {
  return state_->current.with([&](State::Current& current) {
    const auto now = std::chrono::steady_clock::now();
    if (now - current.looked < kLookAgain) return current.tls;
    current.looked = now;
    auto mark = mark_of(state_->files);
    if (mark == current.mark) return current.tls;
    current.mark = std::move(mark);
    if (auto loaded = Tls::load(state_->files)) {
      current.tls = *std::move(loaded);
      log(LogLevel::info, "the API's certificate was loaded again");
    } else {
      log(LogLevel::error, "the API's new certificate cannot be used, the old one stays",
          {{"error", loaded.error().text()}});
    }
    return current.tls;
  });
}

}  // namespace moored::net::api
