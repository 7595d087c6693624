<?php // Usage: ISSUER=https://… AUDIENCE=… php verify.php 'https://your-app.com/callback?data=…&signature=…'
set_error_handler(fn ($level, $message) => throw new ErrorException($message)); // no warning is passed over
$bytes = fn ($text) => sodium_base642bin($text, SODIUM_BASE64_VARIANT_URLSAFE_NO_PADDING); // strict
$object = fn ($json): array => json_decode($json, true, 16, JSON_THROW_ON_ERROR);
try {
    foreach (explode('&', parse_url($argv[1], PHP_URL_QUERY)) as $pair) {
        [$name, $value] = array_map('urldecode', explode('=', $pair, 2) + [1 => '']);
        $query[$name][] = $value;
    }
    [[$data], [$detached]] = [$query['data'], $query['signature']];
    [$head, $signature] = explode('..', $detached, 2);
    [$header, $claims] = [$object($bytes($head)), $object($bytes($data))];
    $http = stream_context_create(['http' => ['timeout' => 5]]); // a server caches the keys; a new kid: fetch again
    $jwks = $object(file_get_contents(getenv('ISSUER') . '/.well-known/jwks.json', false, $http));
    $key = array_column($jwks['keys'], null, 'kid')[$header['kid']] ?? throw new Exception('key is not published');
    if ($problem = match (true) {
        count($query['data']) + count($query['signature']) !== 2 => 'not one data and one signature',
        [$header['alg'], $key['alg'], $key['crv']] !== ['EdDSA', 'EdDSA', 'Ed25519'] => 'algorithm is not EdDSA',
        !sodium_crypto_sign_verify_detached($bytes($signature), "$head.$data", $bytes($key['x'])) => 'signature is wrong',
        $header['typ'] !== 'link-return+jwt' || isset($header['crit']) => 'type is not link-return+jwt',
        $claims['iss'] !== getenv('ISSUER') || $claims['aud'] !== getenv('AUDIENCE') => 'issuer or audience is another',
        !isset($claims['iat'], $claims['jti'], $claims['status']) => 'a claim is missing',
        $claims['status'] === 'completed' && !isset($claims['code']) => 'code is missing',
        !is_int($claims['exp']) || $claims['exp'] <= time() => 'expired',
        default => null,
    }) throw new Exception($problem);
    echo json_encode($claims, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES), "\n";
} catch (Throwable $error) {
    fwrite(STDERR, 'rejected: ' . trim($error->getMessage()) . "\n");
    exit(1);
}
