/* The chain of certificates of a broker: which one is wrong, by name and date.
 *
 * One thread, which waits for the handshake. Reads the files of the uplink as the daemon does, and
 * looks at what the broker shows. Owns the connection's TLS for one look, sends nothing over it. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers/clock.h"
#include "gateway/ctl/doctor.h"
#include "gateway/uplink/secret.h"

enum { SHAKE_MS = 10000, TEXT_MAX = 200, DATE_MAX = 32, DAY_S = 86400, SOON_S = 14 * DAY_S };

/* The first thing that is wrong with the chain. */
struct verdict {
    int error, depth;
    char subject[TEXT_MAX], issuer[TEXT_MAX], names[TEXT_MAX], from[DATE_MAX], until[DATE_MAX];
};

struct look {
    struct doctor *doctor;
    const struct settings_uplink *uplink;
    const struct settings_url *url;
    struct verdict verdict;
    bool keyless; /* it has a private key that who asks may not read */
};

static void name_of(const X509_NAME *name, char out[TEXT_MAX])
{
    out[0] = '\0';
    if (X509_NAME_get_text_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, out, TEXT_MAX) < 0)
        X509_NAME_oneline(name, out, TEXT_MAX);
}

static void date_of(const ASN1_TIME *when, char out[DATE_MAX])
{
    struct tm utc;
    snprintf(out, DATE_MAX, "?");
    if (ASN1_TIME_to_tm(when, &utc) == 1)
        strftime(out, DATE_MAX, "%Y-%m-%d", &utc);
}

/* What a certificate is for: its names, else its subject. */
static void names_of(X509 *certificate, const char *subject, char out[TEXT_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    snprintf(out, TEXT_MAX, "%s", names ? "" : subject);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used < TEXT_MAX; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const unsigned char *ip = name->type == GEN_IPADD ? name->d.iPAddress->data : NULL;
        const char *between = used ? " " : "";
        if (name->type == GEN_DNS)
            used += (size_t)snprintf(out + used, TEXT_MAX - used, "%s%s", between,
                                     (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        else if (ip && name->d.iPAddress->length == 4)
            used += (size_t)snprintf(out + used, TEXT_MAX - used, "%s%u.%u.%u.%u", between, ip[0],
                                     ip[1], ip[2], ip[3]);
    }
    GENERAL_NAMES_free(names);
}

static int on_verify(int fine, X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct look *look = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    struct verdict *verdict = &look->verdict;
    if (fine || verdict->error)
        return 1;
    verdict->error = X509_STORE_CTX_get_error(store);
    verdict->depth = X509_STORE_CTX_get_error_depth(store);
    if (!certificate)
        return 1;
    name_of(X509_get_subject_name(certificate), verdict->subject);
    name_of(X509_get_issuer_name(certificate), verdict->issuer);
    date_of(X509_get0_notBefore(certificate), verdict->from);
    date_of(X509_get0_notAfter(certificate), verdict->until);
    names_of(certificate, verdict->subject, verdict->names);
    return 1;
}

static void today(char out[DATE_MAX])
{
    struct tm utc;
    time_t now = time(NULL);
    gmtime_r(&now, &utc);
    strftime(out, DATE_MAX, "%Y-%m-%d", &utc);
}

static void tell_dates(const struct look *look)
{
    const struct verdict *v = &look->verdict;
    bool expired = v->error == X509_V_ERR_CERT_HAS_EXPIRED;
    char now[DATE_MAX];
    today(now);
    doctor_finds(look->doctor, expired ? "tls_expired" : "tls_not_yet", DOCTOR_FAULT,
                 say("上行 %s：%s 的证书 \"%s\" %s；本机日期是 %s",
                     "uplink %s: of %s, the certificate \"%s\" %s; it is %s by our clock"),
                 look->uplink->name, look->url->host, v->subject,
                 expired ? say("已过期", "has expired") : say("尚未生效", "is not valid yet"), now);
    if (expired)
        doctor_advises(
            look->doctor,
            say("它到 %s 为止：日期没错就请平台换证书，否则先校准时钟",
                "it ended on %s: if our date is right, the platform needs a new one; else "
                "set the clock"),
            v->until);
    else
        doctor_advises(look->doctor,
                       say("它自 %s 起有效：多半是本机时钟慢了，先校准时钟",
                           "it begins on %s: most likely our clock is behind, set it first"),
                       v->from);
}

static void tell_name(const struct look *look)
{
    doctor_finds(
        look->doctor, "tls_name", DOCTOR_FAULT,
        say("上行 %s：服务器的证书是给 %s 的，而配置连的是 %s",
            "uplink %s: the broker's certificate is for %s, and the configuration connects "
            "to %s"),
        look->uplink->name, look->verdict.names, look->url->host);
    doctor_advises(look->doctor,
                   say("把 urls 里的主机改成证书上的名称，或请平台签发含 %s 的证书",
                       "put the certificate's name into urls, or have the platform's made for %s"),
                   look->url->host);
}

static void tell_chain(const struct look *look)
{
    const struct verdict *v = &look->verdict;
    doctor_finds(look->doctor, "tls_issuer", DOCTOR_FAULT,
                 say("上行 %s：%s 的证书 \"%s\" 由 \"%s\" 签发，而 %s 里的 CA 没有签它（%s）",
                     "uplink %s: of %s, the certificate \"%s\" is by \"%s\", which is not vouched "
                     "for by %s (%s)"),
                 look->uplink->name, look->url->host, v->subject, v->issuer, look->uplink->ca,
                 X509_verify_cert_error_string(v->error));
    doctor_advises(look->doctor,
                   say("向平台要 \"%s\" 的 CA 证书（PEM），放进 %s；中间证书应由服务器一并发来",
                       "get the CA certificate of \"%s\" from the platform (PEM) and put it into "
                       "%s; certificates between are the broker's to send"),
                   v->issuer, look->uplink->ca);
}

static void tell_verdict(const struct look *look)
{
    switch (look->verdict.error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        tell_dates(look);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        tell_name(look);
        break;
    default:
        tell_chain(look);
        break;
    }
}

static void tell_file(const struct look *look, const char *path, const char *why)
{
    doctor_finds(look->doctor, "tls_file", DOCTOR_FAULT,
                 say("上行 %s 的 %s 不能用：%s", "uplink %s: %s cannot be used: %s"),
                 look->uplink->name, path, why);
    doctor_advises(
        look->doctor,
        say("应为 PEM 文件（-----BEGIN CERTIFICATE-----），用户 %s 可读；用 openssl x509 -in "
            "%s -noout -subject -dates 查看",
            "it is to be a PEM file (-----BEGIN CERTIFICATE-----) that user %s can read: "
            "openssl x509 -in %s -noout -subject -dates"),
        look->doctor->user.name, path);
}

/* For the daemon, and for us. */
static bool readable(const struct look *look, const char *path)
{
    bool handed = strncmp(path, SECRET_FOLDER "/", sizeof SECRET_FOLDER) == 0;
    int error = handed ? 0 : doctor_user_denied(&look->doctor->user, path, R_OK);
    if (error > 0)
        tell_file(look, path, say_errno(error));
    else if (access(path, R_OK) != 0)
        doctor_user_passes_over(look->doctor, path);
    else
        return true;
    return false;
}

static void own_ends(const struct look *look, const X509 *certificate)
{
    int days = 0, seconds = 0;
    char until[DATE_MAX];
    const ASN1_TIME *end = X509_get0_notAfter(certificate);
    if (ASN1_TIME_diff(&days, &seconds, NULL, end) != 1 || days >= SOON_S / DAY_S)
        return;
    date_of(end, until);
    doctor_finds(look->doctor, "tls_own_ends",
                 days < 0 || seconds < 0 ? DOCTOR_FAULT : DOCTOR_WARNING,
                 say("上行 %s：本网关的证书 %s 有效期到 %s",
                     "uplink %s: this gateway's certificate %s ends on %s"),
                 look->uplink->name, look->uplink->cert, until);
    doctor_advises(
        look->doctor,
        say("向平台申请新证书，替换 cert 和 key，然后 systemctl restart lifeline-gateway",
            "get a new one from the platform, put cert and key in place, then systemctl "
            "restart lifeline-gateway"));
}

/* Who asks for a key with a password asks nobody. */
static int no_passphrase(char *buffer, int size, int writing, void *data)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)data;
    return -1;
}

static void tell_key(const struct look *look, const char *path, const char *why)
{
    doctor_finds(look->doctor, "tls_file", DOCTOR_FAULT,
                 say("上行 %s 的 %s 不能用：%s", "uplink %s: %s cannot be used: %s"),
                 look->uplink->name, path, why);
    doctor_advises(
        look->doctor,
        say("应为 %s 的私钥，PEM，无口令：openssl pkey -in %s -noout 能读即可；去掉口令用 "
            "openssl pkey -in 旧 -out 新",
            "it is to be the private key of %s, PEM, without a password: openssl pkey "
            "-in %s -noout reads it; openssl pkey -in OLD -out NEW takes a password off"),
        look->uplink->cert, path);
}

static bool read_key(struct look *look, SSL_CTX *context)
{
    const char *path = look->uplink->key;
    if (access(path, R_OK) !=
        0) { /* no fault of the key; whether of its rights is told elsewhere */
        look->keyless = true;
        return true;
    }
    bool loaded = SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) == 1;
    if (loaded && SSL_CTX_check_private_key(context) == 1)
        return true;
    unsigned long error = ERR_peek_last_error();
    bool is_other = loaded || (ERR_GET_LIB(error) == ERR_LIB_X509 &&
                               ERR_GET_REASON(error) == X509_R_KEY_VALUES_MISMATCH);
    tell_key(look, path,
             is_other ? say("与 cert 不配对", "it does not belong to cert")
                      : say("不是私钥，或有口令", "no private key in it, or one with a password"));
    return false;
}

static bool read_files(struct look *look, SSL_CTX *context)
{
    const struct settings_uplink *own = look->uplink;
    const char *why = say("不是证书", "no certificate in it");
    if (!own->ca || !readable(look, own->ca))
        return false;
    if (SSL_CTX_load_verify_file(context, own->ca) != 1) {
        tell_file(look, own->ca, why);
        return false;
    }
    if (!own->cert)
        return true;
    if (!readable(look, own->cert))
        return false;
    if (SSL_CTX_use_certificate_chain_file(context, own->cert) != 1) {
        tell_file(look, own->cert, why);
        return false;
    }
    own_ends(look, SSL_CTX_get0_certificate(context));
    return read_key(look, context);
}

static bool shake_hands(SSL *ssl, int fd)
{
    int64_t end_ms = clock_mono().ns / 1000000 + SHAKE_MS;
    for (;;) {
        int rc = SSL_connect(ssl);
        int want = SSL_get_error(ssl, rc);
        if (rc == 1)
            return true;
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
            return false;
        struct pollfd wait = {.fd = fd, .events = want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        int64_t left_ms = end_ms - clock_mono().ns / 1000000;
        if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) <= 0)
            return false;
    }
}

static void no_tls(const struct look *look)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    doctor_finds(
        look->doctor, "tls_none", DOCTOR_FAULT,
        say("上行 %s：%s 端口 %u 的 TLS 握手失败：%s", "uplink %s: no TLS with %s port %u: %s"),
        look->uplink->name, look->url->host, (unsigned)look->url->port,
        reason ? reason : say("没有应答或连接断开", "no answer, or it hung up"));
    doctor_advises(
        look->doctor,
        say("端口可能不是 TLS 的：mqtts 常用 8883，mqtt 常用 1883；服务器要 TLS 1.2 以上",
            "that port may speak no TLS: mqtts is mostly 8883, mqtt 1883; the broker "
            "needs TLS 1.2 or newer"));
}

static void ends_soon(const struct look *look, const SSL *ssl)
{
    int days = 0, seconds = 0;
    char until[DATE_MAX];
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (!certificate ||
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1 ||
        days >= SOON_S / DAY_S)
        return;
    date_of(X509_get0_notAfter(certificate), until);
    doctor_finds(look->doctor, "tls_ends_soon", DOCTOR_WARNING,
                 say("上行 %s：%s 的证书 %s 到期", "uplink %s: the certificate of %s ends on %s"),
                 look->uplink->name, look->url->host, until);
    doctor_advises(look->doctor, say("请平台换证书", "have the platform renew it"));
}

static void expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(expected, host) == 1)
        return;
    X509_VERIFY_PARAM_set1_host(expected, host, 0);
    SSL_set_tlsext_host_name(ssl, host);
}

bool doctor_tls(struct doctor *doctor, const struct settings_uplink *uplink,
                const struct settings_url *url, int fd)
{
    struct look look = {.doctor = doctor, .uplink = uplink, .url = url};
    bool fine = false;
    SSL *ssl = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context)
        SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (!context || !read_files(&look, context))
        goto out;
    SSL_CTX_set_app_data(context, &look);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
        goto out;
    ssl = SSL_new(context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        goto out;
    expect_host(ssl, url->host);
    ERR_clear_error();
    fine = shake_hands(ssl, fd);
    if (look.verdict.error)
        tell_verdict(&look);
    else if (!fine && look.keyless) /* it may be for want of our certificate */
        doctor_user_passes_over(doctor, uplink->key);
    else if (!fine)
        no_tls(&look);
    else
        ends_soon(&look, ssl);
    fine = fine && !look.verdict.error;
out:
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
    return fine;
}
