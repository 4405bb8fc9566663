<?php
// PHP pages: curl as most of them use it, and file_get_contents.
//   php php.php BASE BASE-WITHOUT-A-TOKEN
[, $base, $down] = $argv;

function expect($what, $right, $got)
{
    if (!$right) {
        fwrite(STDERR, "$what: " . var_export($got, true) . "\n");
        exit(1);
    }
}

// An order form: the URL put together by hand, the licence of old at its end.
function ask($url)
{
    $ch = curl_init();
    curl_setopt($ch, CURLOPT_URL, $url);
    curl_setopt($ch, CURLOPT_RETURNTRANSFER, 1);
    curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
    $result = curl_exec($ch);
    expect($url, $result !== false, curl_error($ch));
    curl_close($ch);
    return json_decode($result, true);
}

$streets = ask($base . '/ADR/?Pays=FRA&IDLocalite=01004&Adresse=' . urlencode('rue de la république') . '&Licence=OURS');
expect('ADR', isset($streets['1']) && $streets['1']['Voie'] === 'RUE DE LA REPUBLIQUE', $streets);
// rawurlencode is the other habit.
$streets = ask($base . '/SINGLEV2/?Licence=&Adresse=' . rawurlencode("10 rue de la république") . '&Pays=FRA');
expect('SINGLEV2', $streets['1']['Voie'] === 'RUE DE LA REPUBLIQUE', $streets);

// A form by POST.
$ch = curl_init($base . '/RNVP/');
curl_setopt_array($ch, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_POST => true,
    CURLOPT_POSTFIELDS => http_build_query([
        'Adresse' => '|5 rue des pyrénées||75020|PARIS',
        'Pays' => 'FRA',
        'Licence' => 'OURS',
        'Modification' => 'O',
    ]),
]);
$address = json_decode(curl_exec($ch), true);
expect('RNVP', $address['1']['CodePostal'] === '75020' && $address['1']['Voie'] === 'DES PYRENEES', $address);

// JSON by POST.
foreach ([
    ['/v1/phone/lookup', ['country' => 'FRA', 'phone' => '06 12 34 56 78'], 'MOBILE'],
    ['/v1/email/lookup', ['email' => 'hélène.dupont@gmail.com', 'checkUser' => false], 'IdError'],
] as [$path, $data, $word]) {
    $ch = curl_init($base . $path);
    curl_setopt_array($ch, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_CUSTOMREQUEST => 'POST',
        CURLOPT_POSTFIELDS => json_encode($data),
        CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'Expect: 100-continue'],
    ]);
    $answer = curl_exec($ch);
    expect($path, curl_getinfo($ch, CURLINFO_RESPONSE_CODE) === 200 && strpos($answer, $word) !== false, $answer);
}

// Without curl.
$email = json_decode(file_get_contents($base . '/DQEEMAILLOOKUP/?' . http_build_query(
    ['Email' => 'jean.dupont+été@gmail.com', 'Rectify' => 1, 'licence' => 'OURS']
)), true);
expect('DQEEMAILLOOKUP', $email['1']['eMailOrigine'] === 'jean.dupont+été@gmail.com', $email);
$names = file_get_contents($base . '/LASTNAMESUGGEST/', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/x-www-form-urlencoded',
    'content' => http_build_query(['Licence' => 'OURS', 'Lastname' => 'dupont']),
    'timeout' => 1,
]]));
expect('LASTNAMESUGGEST', json_decode($names, true)['suggest'][0][1] === 'DUPONT', $names);

// What its error handling sees.
$none = @file_get_contents($base . '/NOSUCH/');
expect('404', $none === false && strpos($http_response_header[0], '404') !== false, $http_response_header);
$page = file_get_contents($down . '/TEL/?Tel=0612345678', false, stream_context_create(['http' => ['ignore_errors' => true]]));
expect('503', strpos($http_response_header[0], '503') !== false, $http_response_header);
expect('503', json_decode($page, true)['code'] === 'token_unavailable', $page);
$ch = curl_init($base . '/TEL/?Tel=0612345678');
curl_setopt_array($ch, [CURLOPT_NOBODY => true, CURLOPT_RETURNTRANSFER => true, CURLOPT_HEADER => true]);
$head = curl_exec($ch);
expect('HEAD', preg_match('#^HTTP/1.1 200 .*content-length: [1-9].*\r\n\r\n$#si', $head), $head);
$ch = curl_init($down . '/TEL/?Tel=0612345678');
curl_setopt_array($ch, [CURLOPT_FAILONERROR => true, CURLOPT_RETURNTRANSFER => true]);
expect('503', curl_exec($ch) === false && curl_errno($ch) === CURLE_HTTP_RETURNED_ERROR, curl_error($ch));

// A batch over one handle: its connection is kept, its token changes.
$ch = curl_init();
curl_setopt($ch, CURLOPT_RETURNTRANSFER, true);
for ($calls = 0, $end = microtime(true) + 2.5; microtime(true) < $end; $calls++) {
    curl_setopt($ch, CURLOPT_URL, $base . '/TEL/?Tel=' . urlencode('+33 6 12 34 56 78') . '&Pays=FRA&Licence=OURS');
    $phone = json_decode(curl_exec($ch), true);
    expect('TEL', $phone['1']['TelOrigine'] === '+33 6 12 34 56 78' && $phone['1']['Type'] === 'MOBILE', $phone);
    usleep(20000);
}
echo "PHP ", PHP_VERSION, ": curl, file_get_contents, $calls calls on a kept connection\n";
