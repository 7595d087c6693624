// Java's HttpClient with its defaults: over plain HTTP it offers HTTP/2 (Upgrade: h2c) with every request.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Pattern;

class Client {
    static final String BODY = "{\"user_id\": \"user-1\", \"redirect_url\": \"https://your-app.com/callback\"}";
    static final Pattern TOKEN = Pattern.compile("\"link_token\": ?\"([^\"]+)\"");

    public static void main(String[] arguments) throws Exception {
        var sessions = arguments[0];
        var rounds = Integer.parseInt(arguments[2]);
        var client = HttpClient.newHttpClient();
        for (int round = 0; round < rounds; round++) {
            var create = HttpRequest.newBuilder(URI.create(sessions)).header("x-api-key", arguments[1]);
            create.header("Content-Type", "application/json").POST(BodyPublishers.ofString(BODY));
            var token = TOKEN.matcher(answer(client, create));
            token.find();
            var session = sessions + "/" + token.group(1);
            answer(client, HttpRequest.newBuilder(URI.create(session)).header("x-api-key", arguments[1]));
            var expire = HttpRequest.newBuilder(URI.create(session + "/expire")).header("x-api-key", arguments[1]);
            answer(client, expire.POST(BodyPublishers.noBody()));
        }
    }

    static String answer(HttpClient client, HttpRequest.Builder request) throws Exception {
        var start = System.nanoTime();
        var answer = client.send(request.build(), BodyHandlers.ofString());
        var seconds = (System.nanoTime() - start) / 1e9;
        System.out.println(answer.body() + "\t" + answer.statusCode() + "\t" + seconds);
        return answer.body();
    }
}
