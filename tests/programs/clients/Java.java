// Java back ends: HttpURLConnection with one second to connect and one to read,
// as Spring's SimpleClientHttpRequestFactory sets it, and the HttpClient of
// Java 11, which asks to upgrade to HTTP/2.
//   java Java.java BASE BASE-WITHOUT-A-TOKEN
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.URL;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

public class Java {
    public static void main(String[] arguments) throws Exception {
        String base = arguments[0];
        String down = arguments[1];

        // The template of old: the address with its pipes, the licence a constant.
        String address = URLEncoder.encode("|10 rue de la république||01500|Ambérieu-en-Bugey", "UTF-8");
        HttpURLConnection call = open(base + "/RNVP/?Adresse=" + address + "&Pays=FRA&Licence=OURS&Modification=O");
        String answer = text(call);
        expect("RNVP", call.getResponseCode() == 200 && answer.contains("\"Voie\":\"DE LA REPUBLIQUE\""), answer);

        // The multi-argument URI leaves & and + of a value as they are and takes spaces and accents.
        URI written = new URI("http", null, "127.0.0.1", new URL(base).getPort(), "/SINGLEV2/", "Adresse=10 rue de la république&Pays=FRA&licence=", null);
        answer = text(open(written.toASCIIString()));
        expect("SINGLEV2", answer.contains("RUE DE LA REPUBLIQUE"), answer);

        call = post(base + "/TEL/", "application/x-www-form-urlencoded", "Tel=" + URLEncoder.encode("+33 6 12 34 56 78", "UTF-8") + "&Licence=OURS&Pays=FRA");
        answer = text(call);
        expect("TEL", answer.contains("\"TelOrigine\":\"+33 6 12 34 56 78\""), answer);

        // What its error handling sees.
        call = open(base + "/TEL/?Tel=0612345678");
        call.setRequestMethod("HEAD");
        expect("HEAD", call.getResponseCode() == 200 && call.getContentLength() > 100, text(call));
        call = open(base + "/NOSUCH/");
        answer = text(call);
        expect("404", call.getResponseCode() == 404 && answer.contains("route_not_found"), answer);
        long asked = System.nanoTime();
        call = open(down + "/TEL/?Tel=0612345678");
        answer = text(call);
        expect("503", call.getResponseCode() == 503 && answer.contains("token_unavailable"), answer);
        expect("Retry-After", call.getHeaderFieldInt("Retry-After", 0) > 0, call.getHeaderFields().toString());
        expect("503 in time", System.nanoTime() - asked < 1_000_000_000L, answer);

        // DQE takes three seconds here (see java.sh): it gives up after one and goes on.
        asked = System.nanoTime();
        try {
            answer = text(open(base + "/NUM/?IDVoie=751207837&Pays=FRA&Licence=OURS"));
            expect("a time-out", false, answer);
        } catch (SocketTimeoutException expected) {
            expect("in time", System.nanoTime() - asked < 2_000_000_000L, expected.toString());
        }

        // Java 11: over h2c if the server takes it, which no proxy has to.
        HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(1)).build();
        for (String[] lookup : new String[][] {
                {"/v1/phone/lookup", "{\"phone\":\"0612345678\",\"country\":\"FRA\"}", "MOBILE"},
                {"/v1/email/lookup", "{\"email\":\"hélène@gmail.com\"}", "IdError"}}) {
            HttpResponse<String> response = client.send(HttpRequest.newBuilder(URI.create(base + lookup[0]))
                    .header("Content-Type", "application/json").timeout(Duration.ofSeconds(2))
                    .POST(HttpRequest.BodyPublishers.ofString(lookup[1])).build(), HttpResponse.BodyHandlers.ofString());
            expect(lookup[0], response.statusCode() == 200 && response.body().contains(lookup[2]), response.body());
            expect("version", response.version() == HttpClient.Version.HTTP_1_1, response.version().toString());
        }
        HttpResponse<String> suggested = client.send(HttpRequest.newBuilder(URI.create(base + "/LASTNAMESUGGEST/?Lastname=dupont"))
                .timeout(Duration.ofSeconds(2)).build(), HttpResponse.BodyHandlers.ofString());
        expect("LASTNAMESUGGEST", suggested.body().contains("DUPONT"), suggested.body());

        // A batch: its connection is kept, its token changes.
        int calls = 0;
        for (long end = System.nanoTime() + 2_500_000_000L; System.nanoTime() < end; calls++) {
            answer = text(open(base + "/TEL/?Tel=0612345678&Pays=FRA&Licence=OURS"));
            expect("TEL", answer.contains("\"Type\":\"MOBILE\""), answer);
            Thread.sleep(20);
        }
        System.out.println("Java " + System.getProperty("java.version") + ": HttpURLConnection, HttpClient, " + calls + " calls on kept connections");
    }

    static HttpURLConnection open(String url) throws IOException {
        HttpURLConnection call = (HttpURLConnection) new URL(url).openConnection();
        call.setConnectTimeout(1000);
        call.setReadTimeout(1000);
        return call;
    }

    static HttpURLConnection post(String url, String type, String body) throws IOException {
        HttpURLConnection call = open(url);
        call.setDoOutput(true);
        call.setRequestProperty("Content-Type", type);
        try (OutputStream stream = call.getOutputStream()) {
            stream.write(body.getBytes(StandardCharsets.UTF_8));
        }
        return call;
    }

    static String text(HttpURLConnection call) throws IOException {
        InputStream stream = call.getResponseCode() < 400 ? call.getInputStream() : call.getErrorStream();
        if (stream == null) {
            return "";
        }
        try (stream) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    static void expect(String what, boolean right, String got) {
        if (!right) {
            throw new AssertionError(what + ": " + got);
        }
    }
}
