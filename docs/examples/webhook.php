<?php // Usage: WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:3000 webhook.php
$body = file_get_contents('php://input'); // the bytes as they came: what was parsed and written again has another signature
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$secret = base64_decode(substr(getenv('WEBHOOK_SECRET'), strlen('whsec_')), true);
$expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $secret, true));
$isSigned = false; // one of several: while a secret is changed, both sign
foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $signature) {
    $isSigned = hash_equals($expected, $signature) || $isSigned;
}
if (!$isSigned || !ctype_digit($timestamp) || abs(time() - (int) $timestamp) > 300) {
    http_response_code(400);
    exit;
}
$event = json_decode($body, true, 16, JSON_THROW_ON_ERROR);
// An event can come twice: keep its id in your database, and do nothing where it is there.
error_log("{$event['id']} {$event['type']} {$event['metadata']['external_user_id']}");
http_response_code(204); // soon: what takes longer than ten seconds is sent again
