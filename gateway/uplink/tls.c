/* An SSL_CTX of our own. libmosquitto's would check the name that it connects to, but that is an
 * address here (resolve.h), and it would not tell what is wrong with a certificate.
 * Runs in its uplink's thread; owns the context. The broker's certificate and its name are always
 * checked.
 * Never asks for a passphrase, never goes below TLS 1.2. */
#include "gateway/uplink/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/uplink/secret.h"

struct tls {
    SSL_CTX *context;
    char host[256];
    bool is_address;
    char complaint[160];
};

/* A clock that is wrong at boot looks like a wrong certificate. */
static void blame_clock(struct tls *tls)
{
    struct tm utc;
    time_t now = time(NULL);
    size_t length = strlen(tls->complaint);
    gmtime_r(&now, &utc);
    strftime(tls->complaint + length, sizeof tls->complaint - length,
             " (it is %Y-%m-%d by our clock)", &utc);
}

static int on_verify(int fine, X509_STORE_CTX *store)
{
    if (fine)
        return 1;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int error = X509_STORE_CTX_get_error(store);
    snprintf(tls->complaint, sizeof tls->complaint, "the broker's certificate: %s",
             X509_verify_cert_error_string(error));
    if (error == X509_V_ERR_CERT_NOT_YET_VALID || error == X509_V_ERR_CERT_HAS_EXPIRED)
        blame_clock(tls);
    return 0;
}

/* Once per step of a handshake, and for alerts, of which the library knows nothing. */
static void on_progress(const SSL *ssl, int where, int what)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    bool said = (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && what >> 8 == SSL3_AL_FATAL;
    if (where & SSL_CB_HANDSHAKE_START) /* before the first word: the library names the address */
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, tls->is_address ? NULL : tls->host);
    if (said && !tls->complaint[0])
        snprintf(tls->complaint, sizeof tls->complaint, "TLS: the broker says: %s",
                 SSL_alert_desc_string_long(what));
}

static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static bool is_readable(const char *path, char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        snprintf(why, why_size, "cannot read %s: %s", path, strerror(errno));
    else
        close(fd);
    return fd >= 0;
}

static bool cannot_use(const char *path, char *why, size_t why_size)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(why, why_size, "cannot use %s: %s", path, reason ? reason : "not what it should be");
    return false;
}

static bool read_files(SSL_CTX *context, const struct settings_uplink *uplink, char *why,
                       size_t why_size)
{
    enum { CA, CERT, KEY, FILES };
    const char *files[FILES] = {uplink->ca, uplink->cert, uplink->key};
    char handed_over[FILES][SECRET_PATH_MAX];
    for (size_t i = 0; i < FILES; i++) {
        if (!files[i])
            continue;
        files[i] = secret_path(files[i], handed_over[i], sizeof handed_over[i]);
        if (!is_readable(files[i], why, why_size))
            return false;
    }
    ERR_clear_error();
    if (!files[CA] || SSL_CTX_load_verify_file(context, files[CA]) != 1)
        return cannot_use(files[CA] ? files[CA] : "no ca", why, why_size);
    if (!files[CERT])
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, files[CERT]) != 1)
        return cannot_use(files[CERT], why, why_size);
    if (SSL_CTX_use_PrivateKey_file(context, files[KEY], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return cannot_use(files[KEY], why, why_size);
    return true;
}

static bool expect_host(struct tls *tls)
{
    X509_VERIFY_PARAM *expected = SSL_CTX_get0_param(tls->context);
    tls->is_address = X509_VERIFY_PARAM_set1_ip_asc(expected, tls->host) == 1;
    ERR_clear_error();
    return tls->is_address || X509_VERIFY_PARAM_set1_host(expected, tls->host, 0) == 1;
}

struct tls *tls_new(const struct settings_uplink *uplink, const char *host, char *why,
                    size_t why_size)
{
    struct tls *tls = calloc(1, sizeof *tls);
    snprintf(why, why_size, "TLS: out of memory");
    if (!tls || !(tls->context = SSL_CTX_new(TLS_client_method())))
        goto failed;
    snprintf(tls->host, sizeof tls->host, "%s", host);
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_default_passwd_cb(tls->context, no_passphrase);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(tls->context, on_progress);
    if (SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1 || !expect_host(tls) ||
        !read_files(tls->context, uplink, why, why_size))
        goto failed;
    return tls;
failed:
    tls_free(tls);
    ERR_clear_error();
    return NULL;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

void *tls_context(struct tls *tls)
{
    return tls->context;
}

const char *tls_complaint(const struct tls *tls)
{
    return tls->complaint;
}
