<?php // PHP's HTTP streams with their defaults: a connection for each request.
[, $sessions, $key, $rounds] = $argv;
set_error_handler(fn ($level, $message) => throw new ErrorException($message)); // no warning is passed over

function answer(string $method, string $url, ?array $body = null): array
{
    global $key;
    $http = ['method' => $method, 'header' => ["x-api-key: $key"], 'ignore_errors' => true];
    if ($body !== null) {
        $http['header'][] = 'Content-Type: application/json';
        $http['content'] = json_encode($body);
    }
    $start = microtime(true);
    $text = file_get_contents($url, false, stream_context_create(['http' => $http]));
    [, $status] = explode(' ', $http_response_header[0]);
    echo $text, "\t", $status, "\t", microtime(true) - $start, "\n";
    return json_decode($text, true, flags: JSON_THROW_ON_ERROR);
}

for ($round = 0; $round < (int) $rounds; $round++) {
    $session = answer('POST', $sessions, ['user_id' => 'user-1', 'redirect_url' => 'https://your-app.com/callback']);
    answer('GET', "$sessions/{$session['link_token']}");
    answer('POST', "$sessions/{$session['link_token']}/expire");
}
