<?php
// Verify a webhook of OpenTill with PHP's own crypto; v1a needs the bundled extension sodium.
//
//   opentill_verify($raw, $headers, $secret)                    symmetric: the endpoint's secret
//   opentill_verify($raw, $headers, '', ['keys' => [...]])      asymmetric: /.well-known/webhooks/<merchant>/jwks.json
//
// Use the body as it arrived (php://input). De-duplicate on webhook-id, which is signed. Answer 2xx first, work later.

const OPENTILL_TOLERANCE_S = 300;

/** Return the event id of a genuine request; throw a RuntimeException that says which step failed. */
function opentill_verify(string $body, array $headers, string $secret = '', array $jwks = [], ?int $now = null): string
{
    $given = array_change_key_case($headers, CASE_LOWER);
    $id = $given['webhook-id'] ?? '';
    $timestamp = $given['webhook-timestamp'] ?? '';
    $signatures = $given['webhook-signature'] ?? '';
    if ($id === '' || $signatures === '' || !preg_match('/^\d{1,12}$/D', $timestamp)) {
        throw new RuntimeException('a header is missing or unreadable');
    }
    if (abs(($now ?? time()) - (int) $timestamp) > OPENTILL_TOLERANCE_S) {
        throw new RuntimeException('too old, or from the future');
    }
    $signed = "$id.$timestamp.$body";
    foreach (explode(' ', $signatures) as $token) {
        [$version, $text] = array_pad(explode(',', $token, 2), 2, '');
        $signature = (string) base64_decode($text, true);
        if (base64_encode($signature) !== $text) {
            continue; // PHP reads base64 leniently; a signature has one form
        }
        if ($version === 'v1' && $secret !== ''
            && hash_equals(hash_hmac('sha256', $signed, opentill_key($secret), true), $signature)) {
            return $id;
        }
        foreach ($version === 'v1a' ? $jwks['keys'] ?? [] : [] as $key) {
            $public = (string) base64_decode(strtr($key['x'], '-_', '+/') . '=', true);
            if (strlen($signature) === SODIUM_CRYPTO_SIGN_BYTES && strlen($public) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES
                && sodium_crypto_sign_verify_detached($signature, $signed, $public)) {
                return $id;
            }
        }
    }
    throw new RuntimeException('no signature matches');
}

/** Return the key of a secret: its base64 without whsec_, or its text where it is none. */
function opentill_key(string $secret): string
{
    $text = str_starts_with($secret, 'whsec_') ? substr($secret, 6) : $secret;
    $key = base64_decode($text, true);
    return $key !== false && $key !== '' && base64_encode($key) === $text ? $key : $secret;
}
