/**
 * SCRAM-SHA-256 verifiers made in the database, from core functions only.
 *
 * The caller's plain text is only ever a plpgsql variable in a simple expression: no query, no dynamic SQL and no
 * message has it, so neither the log, nor auto_explain, nor an error's CONTEXT can. Every text operator that depends on
 * a collation is given "C": the argument may carry a nondeterministic one.
 */
import type { Bool, Bytea, Integer, Integers, Returns, Text, Texts, VarBit } from '../model/types.ts';
import { sql } from '../sql/template.ts';

/**
 * 32 bytes that no one can guess
 *
 * gen_random_uuid() draws 122 bits from the server's strong random source, three of them 366.
 */
export function _random_bytes(): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
    END
  `;
}

/**
 * The bits of a bytea
 *
 * There is no XOR of bytea, there is one of bit strings. substring(varbit_send(bits) FROM 5) is the way back: the
 * binary form of a bit string is its length in four bytes, then the bits.
 * @volatility immutable
 * @strict
 */
export function _bits(bytes: Bytea): Returns<VarBit> {
  return sql`
    BEGIN
      RETURN ('x' || encode(${bytes}, 'hex'))::varbit;
    END
  `;
}

/**
 * The 64 bytes that HMAC-SHA256 puts before its inner (pad 36) or outer (5c) message
 *
 * It is the key, XOR that byte throughout.
 * @volatility immutable
 * @strict
 */
export function _hmac_pad(key: Bytea, pad: Text): Returns<Bytea> {
  return sql`
    DECLARE
      v_key bytea := ${key};
    BEGIN
      IF length(v_key) > 64 THEN
        v_key := sha256(v_key);
      END IF;
      v_key := v_key || decode(repeat('00', 64 - length(v_key)), 'hex');
      RETURN substring(varbit_send(rolecall._bits(v_key) # ('x' || repeat(${pad}, 64))::varbit) FROM 5);
    END
  `;
}

/**
 * HMAC-SHA256
 * @volatility immutable
 * @strict
 */
export function _hmac_sha256(key: Bytea, data: Bytea): Returns<Bytea> {
  return sql`
    BEGIN
      RETURN sha256(
        rolecall._hmac_pad(${key}, '5c')
        || sha256(rolecall._hmac_pad(${key}, '36') || ${data})
      );
    END
  `;
}

/**
 * What RFC 3454 says of a code point, as far as SASLprep asks
 *
 * space (C.1.2), nothing (B.1, mapped to nothing), forbidden (C.1.2 to C.9, and A.1, unassigned in Unicode 3.2),
 * right_to_left (D.1), left_to_right (D.2), or null. The first that applies; so a later table may be joined up
 * across the code points of an earlier one.
 * @volatility immutable
 * @strict
 */
export function _stringprep_class(code_point: Integer): Returns<Text> {
  return sql`
    BEGIN
      RETURN CASE
        WHEN ${code_point} <@ int4multirange '
          {[160,161), [5760,5761), [8192,8204), [8239,8240), [8287,8288), [12288,12289)}
        ' THEN 'space'
        WHEN ${code_point} <@ int4multirange '
          {[173,174), [847,848), [6150,6151), [6155,6158), [8204,8206), [8288,8289), [65024,65040), [65279,65280)}
        ' THEN 'nothing'
        WHEN ${code_point} <@ int4multirange '
          {[0,32), [127,160), [545,546), [564,592), [686,688), [751,768), [832,834), [848,864), [880,884),
          [886,890), [891,894), [895,900), [907,908), [909,910), [930,931), [975,976), [1015,1024), [1159,1160),
          [1231,1232), [1270,1272), [1274,1280), [1296,1329), [1367,1369), [1376,1377), [1416,1417), [1419,1425),
          [1442,1443), [1466,1467), [1477,1488), [1515,1520), [1525,1548), [1549,1563), [1564,1567), [1568,1569),
          [1595,1600), [1622,1632), [1757,1758), [1774,1776), [1791,1792), [1806,1808), [1837,1840), [1867,1920),
          [1970,2305), [2308,2309), [2362,2364), [2382,2384), [2389,2392), [2417,2433), [2436,2437), [2445,2447),
          [2449,2451), [2473,2474), [2481,2482), [2483,2486), [2490,2492), [2493,2494), [2501,2503), [2505,2507),
          [2510,2519), [2520,2524), [2526,2527), [2532,2534), [2555,2562), [2563,2565), [2571,2575), [2577,2579),
          [2601,2602), [2609,2610), [2612,2613), [2615,2616), [2618,2620), [2621,2622), [2627,2631), [2633,2635),
          [2638,2649), [2653,2654), [2655,2662), [2677,2689), [2692,2693), [2700,2701), [2702,2703), [2706,2707),
          [2729,2730), [2737,2738), [2740,2741), [2746,2748), [2758,2759), [2762,2763), [2766,2768), [2769,2784),
          [2785,2790), [2800,2817), [2820,2821), [2829,2831), [2833,2835), [2857,2858), [2865,2866), [2868,2870),
          [2874,2876), [2884,2887), [2889,2891), [2894,2902), [2904,2908), [2910,2911), [2914,2918), [2929,2946),
          [2948,2949), [2955,2958), [2961,2962), [2966,2969), [2971,2972), [2973,2974), [2976,2979), [2981,2984),
          [2987,2990), [2998,2999), [3002,3006), [3011,3014), [3017,3018), [3022,3031), [3032,3047), [3059,3073),
          [3076,3077), [3085,3086), [3089,3090), [3113,3114), [3124,3125), [3130,3134), [3141,3142), [3145,3146),
          [3150,3157), [3159,3168), [3170,3174), [3184,3202), [3204,3205), [3213,3214), [3217,3218), [3241,3242),
          [3252,3253), [3258,3262), [3269,3270), [3273,3274), [3278,3285), [3287,3294), [3295,3296), [3298,3302),
          [3312,3330), [3332,3333), [3341,3342), [3345,3346), [3369,3370), [3386,3390), [3396,3398), [3401,3402),
          [3406,3415), [3416,3424), [3426,3430), [3440,3458), [3460,3461), [3479,3482), [3506,3507), [3516,3517),
          [3518,3520), [3527,3530), [3531,3535), [3541,3542), [3543,3544), [3552,3570), [3573,3585), [3643,3647),
          [3676,3713), [3715,3716), [3717,3719), [3721,3722), [3723,3725), [3726,3732), [3736,3737), [3744,3745),
          [3748,3749), [3750,3751), [3752,3754), [3756,3757), [3770,3771), [3774,3776), [3781,3782), [3783,3784),
          [3790,3792), [3802,3804), [3806,3840), [3912,3913), [3947,3953), [3980,3984), [3992,3993), [4029,4030),
          [4045,4047), [4048,4096), [4130,4131), [4136,4137), [4139,4140), [4147,4150), [4154,4160), [4186,4256),
          [4294,4304), [4345,4347), [4348,4352), [4442,4447), [4515,4520), [4602,4608), [4615,4616), [4679,4680),
          [4681,4682), [4686,4688), [4695,4696), [4697,4698), [4702,4704), [4743,4744), [4745,4746), [4750,4752),
          [4783,4784), [4785,4786), [4790,4792), [4799,4800), [4801,4802), [4806,4808), [4815,4816), [4823,4824),
          [4847,4848), [4879,4880), [4881,4882), [4886,4888), [4895,4896), [4935,4936), [4955,4961), [4989,5024),
          [5109,5121), [5751,5760), [5789,5792), [5873,5888), [5901,5902), [5909,5920), [5943,5952), [5972,5984),
          [5997,5998), [6001,6002), [6004,6016), [6109,6112), [6122,6144), [6158,6160), [6170,6176), [6264,6272),
          [6314,7680), [7836,7840), [7930,7936), [7958,7960), [7966,7968), [8006,8008), [8014,8016), [8024,8025),
          [8026,8027), [8028,8029), [8030,8031), [8062,8064), [8117,8118), [8133,8134), [8148,8150), [8156,8157),
          [8176,8178), [8181,8182), [8191,8208), [8232,8239), [8275,8279), [8280,8304), [8306,8308), [8335,8352),
          [8370,8400), [8427,8448), [8507,8509), [8524,8531), [8580,8592), [9167,9216), [9255,9280), [9291,9312),
          [9471,9472), [9748,9750), [9752,9753), [9854,9856), [9866,9985), [9989,9990), [9994,9996), [10024,10025),
          [10060,10061), [10062,10063), [10067,10070), [10071,10072), [10079,10081), [10133,10136), [10160,10161),
          [10175,10192), [10220,10224), [11008,11904), [11930,11931), [12020,12032), [12246,12288), [12352,12353),
          [12439,12441), [12544,12549), [12589,12593), [12687,12688), [12728,12784), [12829,12832), [12868,12881),
          [12924,12927), [13004,13008), [13055,13056), [13175,13179), [13278,13280), [13311,13312), [19894,19968),
          [40870,40960), [42125,42128), [42183,44032), [55204,63744), [64046,64048), [64107,64256), [64263,64275),
          [64280,64285), [64311,64312), [64317,64318), [64319,64320), [64322,64323), [64325,64326), [64434,64467),
          [64832,64848), [64912,64914), [64968,65008), [65021,65056), [65060,65072), [65095,65097), [65107,65108),
          [65127,65128), [65132,65136), [65141,65142), [65277,65281), [65471,65474), [65480,65482), [65488,65490),
          [65496,65498), [65501,65504), [65511,65512), [65519,66304), [66335,66336), [66340,66352), [66379,66560),
          [66598,66600), [66638,118784), [119030,119040), [119079,119082), [119155,119163), [119262,119808),
          [119893,119894), [119965,119966), [119968,119970), [119971,119973), [119975,119977), [119981,119982),
          [119994,119995), [119996,119997), [120001,120002), [120004,120005), [120070,120071), [120075,120077),
          [120085,120086), [120093,120094), [120122,120123), [120127,120128), [120133,120134), [120135,120138),
          [120145,120146), [120484,120488), [120778,120782), [120832,131072), [173783,194560), [195102,1114112)}
        ' THEN 'forbidden'
        WHEN ${code_point} <@ int4multirange '
          {[1470,1471), [1472,1473), [1475,1476), [1488,1525), [1563,1611), [1645,1648), [1649,1750), [1765,1767),
          [1786,1809), [1810,1837), [1920,1958), [1969,1970), [64285,64286), [64287,64297), [64298,64830),
          [64848,65021), [65136,65277)}
        ' THEN 'right_to_left'
        WHEN ${code_point} <@ int4multirange '
          {[65,91), [97,123), [170,171), [181,182), [186,187), [192,215), [216,247), [248,697), [699,706),
          [720,722), [736,741), [750,751), [890,891), [902,903), [904,1014), [1024,1155), [1162,1418), [2307,2362),
          [2365,2369), [2377,2381), [2384,2385), [2392,2402), [2404,2417), [2434,2490), [2494,2497), [2503,2509),
          [2519,2530), [2534,2546), [2548,2555), [2565,2618), [2622,2625), [2649,2672), [2674,2677), [2691,2746),
          [2749,2753), [2761,2765), [2768,2800), [2818,2874), [2877,2879), [2880,2881), [2887,2893), [2903,2929),
          [2947,3008), [3009,3021), [3031,3130), [3137,3141), [3168,3263), [3264,3269), [3271,3276), [3285,3393),
          [3398,3405), [3415,3527), [3535,3538), [3544,3633), [3634,3636), [3648,3655), [3663,3761), [3762,3764),
          [3773,3783), [3792,3864), [3866,3893), [3894,3895), [3896,3897), [3902,3947), [3967,3968), [3973,3974),
          [3976,3980), [4030,4038), [4039,4141), [4145,4146), [4152,4153), [4160,4184), [4256,5787), [5792,5906),
          [5920,5938), [5941,5970), [5984,6001), [6016,6071), [6078,6086), [6087,6089), [6100,6107), [6108,6122),
          [6160,6313), [7680,8125), [8126,8127), [8130,8141), [8144,8156), [8160,8173), [8178,8189), [8305,8306),
          [8319,8320), [8450,8451), [8455,8456), [8458,8468), [8469,8470), [8473,8478), [8484,8485), [8486,8487),
          [8488,8489), [8490,8494), [8495,8498), [8499,8506), [8509,8512), [8517,8522), [8544,8580), [9014,9083),
          [9109,9110), [9372,9450), [12293,12296), [12321,12330), [12337,12342), [12344,12349), [12353,12439),
          [12445,12448), [12449,12539), [12540,12868), [12896,12977), [12992,42125), [44032,64280), [65313,65339),
          [65345,65371), [65382,65501), [66304,119143), [119146,119155), [119171,119173), [119180,119210),
          [119214,120778), [131072,195102)}
        ' THEN 'left_to_right'
      END;
    END
  `;
}

/**
 * Whether NFKC leaves this code point alone, whatever stands beside it
 *
 * Asked only of code points that _stringprep_class neither maps nor forbids.
 * @volatility immutable
 * @strict
 */
export function _is_nfkc_stable(code_point: Integer): Returns<Bool> {
  return sql`
    BEGIN
      RETURN ${code_point} <@ int4multirange '
          {[32,168), [169,170), [171,175), [176,178), [182,184), [187,188), [191,306), [308,319), [321,329),
          [330,383), [384,452), [461,497), [500,686), [697,728), [734,736), [741,751), [885,886), [902,903),
          [904,975), [983,1008), [1011,1012), [1014,1155), [1160,1415), [1417,1419), [1470,1471), [1472,1473),
          [1475,1476), [1488,1611), [1632,1648), [1649,1653), [1657,1750), [1758,1759), [1765,1767), [1769,1770),
          [1776,1809), [1810,1837), [1920,2362), [2365,2381), [2384,2385), [2400,2490), [2495,2509), [2528,2611),
          [2613,2614), [2616,2618), [2622,2637), [2652,2653), [2662,2746), [2749,2765), [2768,2874), [2877,2878),
          [2879,2893), [2911,3002), [3007,3021), [3047,3149), [3168,3266), [3267,3277), [3294,3386), [3391,3405),
          [3424,3527), [3536,3551), [3570,3635), [3636,3640), [3647,3656), [3660,3763), [3764,3768), [3771,3783),
          [3788,3802), [3840,3852), [3853,3864), [3866,3893), [3894,3895), [3896,3897), [3898,3907), [3908,3917),
          [3918,3922), [3923,3927), [3928,3932), [3933,3945), [3946,3947), [3966,3968), [3973,3974), [3976,3987),
          [3988,3997), [3998,4002), [4003,4007), [4008,4012), [4013,4021), [4022,4023), [4024,4025), [4026,4038),
          [4039,4142), [4143,4151), [4152,4153), [4160,4449), [4470,4515), [4547,5908), [5920,5940), [5941,6098),
          [6099,6313), [7680,7834), [7840,8049), [8050,8051), [8052,8053), [8054,8055), [8056,8057), [8058,8059),
          [8060,8061), [8064,8123), [8124,8125), [8130,8137), [8138,8139), [8140,8141), [8144,8147), [8150,8155),
          [8160,8163), [8164,8171), [8172,8173), [8178,8185), [8186,8187), [8188,8189), [8208,8209), [8210,8215),
          [8216,8228), [8231,8243), [8245,8246), [8248,8252), [8253,8254), [8255,8263), [8266,8275), [8352,8360),
          [8361,8370), [8413,8417), [8418,8421), [8452,8453), [8456,8457), [8468,8469), [8471,8473), [8478,8480),
          [8483,8484), [8485,8486), [8487,8488), [8489,8490), [8494,8495), [8498,8499), [8506,8507), [8513,8517),
          [8522,8524), [8576,8748), [8750,8751), [8753,9001), [9003,9291), [9451,10764), [10765,10868),
          [10871,10972), [10973,11935), [11936,12019), [12289,12330), [12336,12342), [12343,12344), [12347,12439),
          [12445,12447), [12448,12543), [12549,12589), [12688,12690), [12704,12800), [12927,12928), [13312,55204),
          [64014,64016), [64017,64018), [64019,64021), [64031,64032), [64033,64034), [64035,64037), [64039,64042),
          [64830,64832), [65093,65095), [65139,65140), [66304,119134), [119146,119149), [119171,119173),
          [119180,119210), [119214,119227), [119233,119262), [131072,173783)}
      ';
    END
  `;
}

/**
 * The code points of a UTF-8 string; null where the bytes are not UTF-8
 * @volatility immutable
 * @strict
 */
export function _utf8_code_points(bytes: Bytea): Returns<Integers> {
  return sql`
    DECLARE
      v_code_points integer[] := '{}'::integer[];
      v_code_point integer;
      v_byte integer;
    BEGIN
      -- Overlong forms, surrogates and what lies beyond U+10FFFF are not UTF-8.
      IF encode(${bytes}, 'hex') COLLATE "C" !~ (
          '^(?:[0-7].|c[2-9a-f][89ab].|d.[89ab].|e0[ab].[89ab].|e[1-9a-cef][89ab].[89ab].'
          || '|ed[89].[89ab].|f0[9ab].[89ab].[89ab].|f[123][89ab].[89ab].[89ab].|f48.[89ab].[89ab].)*$') THEN
        RETURN NULL;
      END IF;

      FOR v_position IN 0..length(${bytes}) - 1 LOOP
        v_byte := get_byte(${bytes}, v_position);
        IF v_byte < 128 THEN
          v_code_points := v_code_points || v_byte;
        ELSIF v_byte < 192 THEN
          v_code_point := v_code_point << 6 | (v_byte & 63);
          v_code_points[cardinality(v_code_points)] := v_code_point;
        ELSE
          v_code_point := v_byte & CASE WHEN v_byte < 224 THEN 31 WHEN v_byte < 240 THEN 15 ELSE 7 END;
          v_code_points := v_code_points || v_code_point;
        END IF;
      END LOOP;
      RETURN v_code_points;
    END
  `;
}

/**
 * The bytes that are hashed for a password
 *
 * SASLprep (RFC 4013) as the server and libpq do it. Both take the password as it is where preparation fails
 * (bytes that are not UTF-8, a forbidden code point, a breach of the rule on right-to-left text, nothing left),
 * and both look for forbidden code points before normalization, not after.
 * @volatility stable
 * @strict
 */
export function _saslprep(password: Text): Returns<Bytea> {
  return sql`
    DECLARE
      v_raw CONSTANT bytea := convert_to(${password}, getdatabaseencoding());
      v_prepared bytea := ''::bytea;
      v_code_points integer[];
      v_code_point integer;
      v_class text;
      v_position integer := 1;
      v_width integer;
      v_left_to_right boolean := false;
      v_right_to_left boolean := false;
      v_starts_right_to_left boolean;
      v_ends_right_to_left boolean;
      v_stable boolean := true;
    BEGIN
      IF ${password} COLLATE "C" !~ E'[^\\x01-\\x7f]' THEN
        RETURN v_raw;
      END IF;

      v_code_points := rolecall._utf8_code_points(v_raw);
      IF v_code_points IS NULL THEN
        RETURN v_raw;
      END IF;

      FOREACH v_code_point IN ARRAY v_code_points LOOP
        v_width := CASE
          WHEN v_code_point < 128 THEN 1 WHEN v_code_point < 2048 THEN 2 WHEN v_code_point < 65536 THEN 3 ELSE 4
        END;
        v_class := rolecall._stringprep_class(v_code_point);
        IF v_class = 'forbidden' THEN
          RETURN v_raw;
        ELSIF v_class = 'space' THEN
          v_prepared := v_prepared || ' '::bytea;
        ELSIF v_class IS DISTINCT FROM 'nothing' THEN
          v_prepared := v_prepared || substring(v_raw FROM v_position FOR v_width);
          v_stable := v_stable AND rolecall._is_nfkc_stable(v_code_point);
        END IF;
        v_position := v_position + v_width;

        IF v_class IS DISTINCT FROM 'nothing' THEN
          v_left_to_right := v_left_to_right OR v_class IS NOT DISTINCT FROM 'left_to_right';
          v_ends_right_to_left := v_class IS NOT DISTINCT FROM 'right_to_left';
          v_right_to_left := v_right_to_left OR v_ends_right_to_left;
          v_starts_right_to_left := coalesce(v_starts_right_to_left, v_ends_right_to_left);
        END IF;
      END LOOP;

      IF v_prepared = ''
        OR v_right_to_left AND (v_left_to_right OR NOT v_starts_right_to_left OR NOT v_ends_right_to_left)
      THEN
        RETURN v_raw;
      ELSIF v_stable THEN
        RETURN v_prepared;
      ELSIF getdatabaseencoding() = 'UTF8' THEN
        RETURN convert_to(normalize(convert_from(v_prepared, 'UTF8'), NFKC), 'UTF8');
      END IF;

      -- The server normalizes UTF-8 here too, but normalize() refuses. A guess would be a password that cannot log in.
      RAISE EXCEPTION 'password cannot be normalized in a database with encoding "%"', getdatabaseencoding()
        USING ERRCODE = 'feature_not_supported',
              HINT = 'Set the password from a database with encoding UTF8, or pass a SCRAM-SHA-256 verifier.';
    END
  `;
}

/**
 * The verifier of a password for a given salt (RFC 5802, RFC 7677)
 * @volatility stable
 * @strict
 */
export function _scram(password: Text, salt: Bytea, iterations: Integer): Returns<Text> {
  return sql`
    DECLARE
      v_key CONSTANT bytea := rolecall._saslprep(${password});
      -- A round is HMAC(password, previous digest).  The two pads are the same in every round, so they are made once.
      v_inner CONSTANT bytea := rolecall._hmac_pad(v_key, '36');
      v_outer CONSTANT bytea := rolecall._hmac_pad(v_key, '5c');
      v_digest bytea := sha256(v_outer || sha256(v_inner || ${salt} || int4send(1)));
      v_digest_1 bytea;
      v_digest_2 bytea;
      v_digest_3 bytea;
      v_sum bit varying := rolecall._bits(v_digest);
      v_sum_of_four bit varying := repeat('0', 4 * 256)::varbit;
      v_salted_password bytea;
      v_stored_key bytea;
      v_server_key bytea;
    BEGIN
      -- PBKDF2: the XOR of all rounds' digests. Making the bits of a digest costs nearly as much as the round, so four
      -- digests are turned into one bit string and added together; the rounds that do not fill a four go first.
      FOR v_round IN 1..(${iterations} - 1) % 4 LOOP
        v_digest := sha256(v_outer || sha256(v_inner || v_digest));
        v_sum := v_sum # rolecall._bits(v_digest);
      END LOOP;
      FOR v_round IN 1..(${iterations} - 1) / 4 LOOP
        v_digest_1 := sha256(v_outer || sha256(v_inner || v_digest));
        v_digest_2 := sha256(v_outer || sha256(v_inner || v_digest_1));
        v_digest_3 := sha256(v_outer || sha256(v_inner || v_digest_2));
        v_digest := sha256(v_outer || sha256(v_inner || v_digest_3));
        v_sum_of_four := v_sum_of_four # ('x' || encode(v_digest_1 || v_digest_2 || v_digest_3 || v_digest, 'hex'))::varbit;
      END LOOP;
      v_sum := v_sum # substring(v_sum_of_four FROM 1 FOR 256) # substring(v_sum_of_four FROM 257 FOR 256)
        # substring(v_sum_of_four FROM 513 FOR 256) # substring(v_sum_of_four FROM 769 FOR 256);
      v_salted_password := substring(varbit_send(v_sum) FROM 5);

      v_stored_key := sha256(rolecall._hmac_sha256(v_salted_password, 'Client Key'));
      v_server_key := rolecall._hmac_sha256(v_salted_password, 'Server Key');
      -- encode() breaks lines after 76 characters; only a long salt gets there.
      RETURN 'SCRAM-SHA-256$' || ${iterations}::text || ':' || replace(encode(${salt}, 'base64'), chr(10), '')
        || '$' || encode(v_stored_key, 'base64') || ':' || encode(v_server_key, 'base64');
    END
  `;
}

/**
 * How many bytes the server's strict base64 decoder makes of a text; null where it refuses
 *
 * It wants whole groups of four and a first "=" in the third or fourth place of its group. From there on anything
 * of the alphabet is let through, and each group gives as many bytes as the one with that "=".
 * @volatility immutable
 * @strict
 */
export function _base64_length(base64: Text): Returns<Integer> {
  return sql`
    DECLARE
      v_groups CONSTANT integer := length(${base64}) / 4;
      v_padding CONSTANT integer := strpos(${base64} COLLATE "C", '=') - 1;
    BEGIN
      IF ${base64} COLLATE "C" ~ '[^A-Za-z0-9+/=]'
        OR length(${base64}) % 4 <> 0
        OR v_padding % 4 IN (0, 1)
      THEN
        RETURN NULL;
      ELSIF v_padding < 0 THEN
        RETURN 3 * v_groups;
      END IF;
      RETURN 3 * (v_padding / 4) + (v_padding % 4 - 1) * (v_groups - v_padding / 4);
    END
  `;
}

/**
 * The fields of a text that looks like a SCRAM-SHA-256 verifier to the server: sign and digits of the iterations, salt,
 * stored key, server key
 *
 * It reads with strtok() and strtol(), and so do we: separators before a field are skipped, blanks and a sign before the
 * iterations too, and their value is not looked at.
 * @volatility immutable
 */
export function _scram_fields(verifier: Text): Returns<Texts> {
  return sql`
    BEGIN
      RETURN regexp_match(${verifier} COLLATE "C",
        E'^[$]*SCRAM-SHA-256[$]:*[ \t\n\x0b\f\r]*([+-]?)0*([0-9]{1,19}):[$]*([^$]+)[$]:*([^:]+):(.+)$');
    END
  `;
}

/**
 * Whether the server would store this text as it is, being a SCRAM-SHA-256 verifier
 *
 * Anything else, "SCRAM-SHA-256$" with a mistake after it included, it hashes as a plain password.
 * @volatility immutable
 */
export function _is_scram_verifier(verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields text[];
    BEGIN
      -- As they are written everywhere, which is told in a fraction of the time.
      IF ${isUsualVerifier(verifier)} THEN
        RETURN true;
      END IF;
      v_fields := rolecall._scram_fields(${verifier});
      -- strtol() refuses what a long cannot hold.
      RETURN v_fields IS NOT NULL
        AND (v_fields[1] || v_fields[2])::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
        AND rolecall._base64_length(v_fields[3]) IS NOT NULL
        AND rolecall._base64_length(v_fields[4]) IS NOT DISTINCT FROM 32
        AND rolecall._base64_length(v_fields[5]) IS NOT DISTINCT FROM 32;
    END
  `;
}

/** Not every verifier: the server allows for odd spellings. */
const isUsualVerifier = (verifier: Text) => sql`
  ${verifier} COLLATE "C"
    ~ '^SCRAM-SHA-256[$][1-9][0-9]{0,8}:[A-Za-z0-9+/]+={0,2}[$][A-Za-z0-9+/]+=:[A-Za-z0-9+/]+=$'
  AND length(split_part(split_part(${verifier}, '$', 2), ':', 2)) % 4 = 0
  AND length(split_part(split_part(${verifier}, '$', 3), ':', 1)) = 44
  AND length(split_part(split_part(${verifier}, '$', 3), ':', 2)) = 44
`;

/**
 * Whether the server would store this text as it is, being an MD5 verifier
 *
 * Upper-case digits are none to it.
 * @volatility immutable
 */
export function _is_md5_verifier(verifier: Text): Returns<Bool> {
  return sql`
    BEGIN
      RETURN coalesce(${verifier} COLLATE "C" ~ '^md5[0-9a-f]{32}$', false);
    END
  `;
}

/**
 * Whether this verifier is one of the empty password
 *
 * The server compares the server key alone. A salt or key in an odd spelling counts as one, as it cannot be told.
 * @volatility stable
 */
export function _is_empty_verifier(verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields CONSTANT text[] := rolecall._scram_fields(${verifier});
    BEGIN
      IF v_fields[3] COLLATE "C" !~ '^[A-Za-z0-9+/]*={0,2}$' OR v_fields[5] COLLATE "C" !~ '^[A-Za-z0-9+/]{43}=$' THEN
        RETURN true;
      END IF;
      RETURN decode(v_fields[5], 'base64') = decode(split_part(
        -- An int gets the lower half of what strtol() read.
        rolecall._scram('', decode(v_fields[3], 'base64'), ((v_fields[1] || v_fields[2])::bigint << 32 >> 32)::integer),
        ':', 3
      ), 'base64');
    END
  `;
}

/**
 * Whether this stored verifier stands for this password
 *
 * Never null. A password that is itself a verifier stands for itself alone, as the server stores it. A verifier
 * with a hundred thousand iterations or more, or in a spelling that no one generates, is no match rather than a way for
 * a role to keep its administrator's session busy: it can set its own.
 * @volatility stable
 */
export function _password_matches(password: Text, verifier: Text): Returns<Bool> {
  return sql`
    DECLARE
      v_fields text[];
    BEGIN
      IF ${password} IS NULL OR NOT rolecall._is_scram_verifier(${verifier}) THEN
        RETURN false;
      ELSIF ${password} COLLATE "C" = ${verifier} COLLATE "C" THEN
        RETURN true;
      ELSIF rolecall._is_scram_verifier(${password}) THEN
        RETURN false;
      END IF;
      v_fields := regexp_match(
        ${verifier} COLLATE "C", '^SCRAM-SHA-256[$]([1-9][0-9]{0,4}):([A-Za-z0-9+/]+={0,2})[$]'
      );
      IF v_fields IS NULL THEN
        RETURN false;
      END IF;
      RETURN ${verifier} COLLATE "C"
        = rolecall._scram(${password}, decode(v_fields[2], 'base64'), v_fields[1]::integer) COLLATE "C";
    END
  `;
}
