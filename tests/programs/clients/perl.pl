# Perl jobs: LWP, as cron jobs and CGI scripts use it.
#   perl perl.pl BASE BASE-WITHOUT-A-TOKEN
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use HTTP::Request;
use JSON::PP;
use LWP::UserAgent;
use Time::HiRes qw(sleep time);
use URI;

my ($base, $down) = @ARGV;
my $ua = LWP::UserAgent->new(timeout => 2);

sub expect {
    my ($what, $right, $response) = @_;
    die "$what: " . $response->as_string . "\n" unless $right;
}

# LWP's own fields (TE, Connection: TE) come along.
my $uri = URI->new("$base/RNVP/");
$uri->query_form(Adresse => encode('UTF-8', '|10 rue de la république||01500|Ambérieu-en-Bugey'), Pays => 'FRA', Licence => 'OURS');
my $response = $ua->get($uri);
expect('RNVP', $response->is_success && decode_json($response->content)->{1}{Voie} eq 'DE LA REPUBLIQUE', $response);

$response = $ua->get("$base/TEL/?Tel=+33 6 12 34 56 78&Licence=&Pays=FRA");
expect('TEL', decode_json($response->content)->{1}{Type} eq 'MOBILE', $response);

$response = $ua->post("$base/DQEEMAILLOOKUP/", [ Email => 'jean.dupont+test@gmail.com', Licence => 'OURS' ]);
expect('DQEEMAILLOOKUP', decode_json($response->content)->{1}{eMailOrigine} eq 'jean.dupont+test@gmail.com', $response);

for ([ '/v1/phone/lookup', { country => 'FRA', phone => '0612345678' }, 'MOBILE' ], [ '/v1/email/lookup', { email => 'hélène@gmail.com' }, 'IdError' ]) {
    my ($path, $data, $word) = @$_;
    my $request = HTTP::Request->new(POST => "$base$path", [ 'Content-Type' => 'application/json' ], JSON::PP->new->utf8->canonical->encode($data));
    $response = $ua->request($request);
    expect($path, $response->code == 200 && $response->content =~ $word, $response);
}

# What its error handling sees.
$response = $ua->head("$base/TEL/?Tel=0612345678");
expect('HEAD', $response->is_success && $response->content eq '' && $response->content_length > 100, $response);
$response = $ua->get("$base/NOSUCH/");
expect('404', $response->code == 404 && decode_json($response->content)->{code} eq 'route_not_found', $response);
$response = $ua->get("$down/TEL/?Tel=0612345678");
expect('503', $response->is_error && $response->status_line eq '503 Service Unavailable', $response);
# LWP's own errors are 5xx, too; this one is not of LWP.
expect('503', !defined $response->header('Client-Warning') && $response->header('Retry-After') > 0, $response);

# A nightly job: its connection is kept, its token changes.
my $kept = LWP::UserAgent->new(keep_alive => 1, timeout => 2);
my $calls = 0;
my $end = time + 2.5;
while (time < $end) {
    $response = $kept->get("$base/TEL/?Tel=0612345678&Licence=OURS");
    expect('TEL', $response->code == 200 && decode_json($response->content)->{1}{Type} eq 'MOBILE', $response);
    $calls++;
    sleep 0.02;
}
print "Perl $^V: LWP $LWP::VERSION, $calls calls on a kept connection\n";
